from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import pytest
import torch

from litune.config import config as configs
from litune.errors import InputError
from litune.targets import targets
from litune.targets.locate import locate
from litune.targets.signatures import Argument, Mismatch, conform, signature
from tests.preloaded import PROJECT

if TYPE_CHECKING:
    from fractions import Fraction


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Size:
    width: int = 1


def fit(value, annotation, default=None):
    return conform(value, Argument(name="x", annotation=annotation, default=default if default is not None else ...))


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 64.0, 64),
        (int, "64", 64),
        (float, 1, 1.0),
        (float, "1e-3", 0.001),
        (bool, 1, True),
        (Optional[int], None, None),  # noqa: UP045 - users write these too
        (int | None, 3.0, 3),
        (int | float, 1.0, 1.0),
        (int | float, 1, 1),
        (Union[str, int], 3, 3),  # noqa: UP007
        (float | torch.Tensor, 1, 1.0),
        (tuple[int, int], [1, 2.0], (1, 2)),
        (tuple[float, ...], [1, 2, 3], (1.0, 2.0, 3.0)),
        (list[int], [1.0], [1]),
        (Sequence[str], ["a"], ["a"]),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict[int, int], {"4": 2.0}, {4: 2}),
        (Literal["a", 1], "a", "a"),
        (Color, "RED", Color.RED),
        (Color, "red", Color.RED),
        (Path, "a/b", Path("a/b")),
        (Any, object, object),
    ],
)
def test_a_value_is_cast_to_its_annotation(annotation, value, expected):
    found = fit(value, annotation)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 0.5),
        (int, True),
        (int, "x"),
        (int, None),
        (int, float("nan")),
        (int, float("inf")),
        (float, True),
        (float, "high"),
        (bool, 2),
        (bool, "yes"),
        (str, 3),
        (int | float, "x"),
        (tuple[int, int], [1]),
        (list[int], "12"),
        (list[int], ["x"]),
        (dict[str, int], [1]),
        (Literal["a", 1], True),
        (Literal["a"], "b"),
        (Color, "BLUE"),
        (torch.nn.Module, "relu"),
        (Size, {"width": 3}),
    ],
)
def test_a_value_that_its_annotation_rejects_is_a_mismatch(annotation, value):
    with pytest.raises(Mismatch):
        fit(value, annotation)


def test_without_annotation_a_whole_number_follows_the_default():
    assert type(fit(64.0, Any, default=32)) is int
    assert type(fit(1, Any, default=0.5)) is float
    assert fit(0.5, Any, default=1) == 0.5
    assert fit("anything", Any, default=1) == "anything"


class Tokenized:
    def __init__(self, hidden: int, tokenizer: Fraction | None = None) -> None:
        self.hidden = hidden


def test_an_annotation_that_only_type_checkers_know_leaves_the_others_as_they_are():
    assert type(conform(64.0, signature(Tokenized).arguments["hidden"])) is int
    assert conform("bert", signature(Tokenized).arguments["tokenizer"]) == "bert"


def test_a_number_becomes_a_tensor_where_one_is_asked_for():
    loss = targets.instantiate({"_target_": "torch.nn.BCEWithLogitsLoss", "pos_weight": 3.0})
    assert torch.equal(loss.pos_weight, torch.tensor(3.0))


def test_sections_inside_sections_are_built_first():
    section = {
        "_target_": "torchvision.transforms.v2.Compose",
        "transforms": [{"_target_": "torchvision.transforms.v2.RandomHorizontalFlip", "p": 1}],
    }
    built = targets.instantiate(section)
    assert built.transforms[0].p == 1.0


def test_what_no_yaml_can_hold_is_handed_over():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = targets.instantiate({"_target_": "torch.optim.SGD", "lr": "1e-2"}, params=[weight])
    assert optimizer.defaults["lr"] == 0.01
    assert optimizer.param_groups[0]["params"] == [weight]


def test_hydras_words_for_calling_are_understood():
    make = targets.instantiate({"_target_": "torch.nn.Linear", "_partial_": True, "in_features": 2})
    assert make(out_features=3).weight.shape == (3, 2)
    layers = [{"_target_": "torch.nn.Identity"}, {"_target_": "torch.nn.ReLU"}]
    assert len(targets.instantiate({"_target_": "torch.nn.Sequential", "_args_": layers})) == 2


def test_a_missing_argument_is_an_input_error():
    with pytest.raises(InputError, match=r"in_features: got nothing"):
        targets.instantiate({"_target_": "torch.nn.Linear", "out_features": 2})


def config(**sections):
    base = {
        "model": {"_target_": "litune.tasks.digits.MLP", "hidden": 64},
        "data": {"_target_": "litune.tasks.digits.Digits"},
        "objective": {"metric": "val_acc"},
        "backend": {"name": "local"},
    }
    return configs.from_plain({**base, **sections})


def test_typed_casts_by_the_signature_whatever_the_yaml_says():
    optimizer = {"_target_": "torch.optim.Adam", "lr": 1}
    found = targets.typed(config(model={"_target_": "litune.tasks.digits.MLP", "hidden": 32.0}, optimizer=optimizer))
    assert type(found.model.hidden) is int
    assert type(found.optimizer.lr) is float


def test_a_scheduler_has_lightnings_options_beside_its_own():
    optimizer = {"_target_": "torch.optim.Adam"}
    scheduler = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "interval": "step", "frequency": 2}
    assert targets.check(config(optimizer=optimizer, lr_scheduler=scheduler)) == []


def test_a_secret_of_the_environment_does_not_get_into_a_message(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    [problem] = targets.check(config(model={"_target_": "litune.tasks.digits.MLP", "hidden": "${oc.env:MY_TOKEN}"}))
    assert problem.key == "model.hidden"
    assert "s3cret" not in str(problem)


HOSTILE = [
    "os.system",
    "os.popen",
    "os.remove",
    "posix.system",
    "subprocess.Popen",
    "subprocess.run",
    "subprocess.check_output",
    "shutil.rmtree",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.__import__",
    "importlib.import_module",
    "runpy.run_path",
    "pickle.loads",
    "pickle.load",
    "marshal.loads",
    "ctypes.CDLL",
    "socket.socket",
    "webbrowser.open",
    "urllib.request.urlopen",
    "http.server.HTTPServer",
    "torch.load",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.jit.load",
    "torch.serialization.load",
    "torch.package.PackageImporter",
    "torch.utils.cpp_extension.load",
    "torch.ops.load_library",
    "torch.classes.load_library",
    "torch.multiprocessing.spawn",
    "torch.distributed.run.main",
    "torch.serialization.os.system",
    "torch.fx.GraphModule.__init__",
    "pytorch_lightning.Trainer",
    "pytorch_lightning.LightningModule.load_from_checkpoint",
    "pytorch_lightning.cli.LightningCLI",
    "litune.cli.main",
    "litune.driver.run_search",
    "litune.workers.pool.Workers",
    "numpy.load",
    "numpy.lib.npyio.NpzFile",
    "logging.config.fileConfig",
    "code.interact",
    "pty.spawn",
    "setuptools.setup",
    "yaml.unsafe_load",
    "optuna.load_study",
    "ray.init",
    "nni.experiment.Experiment",
    "hydra.utils.instantiate",
    "omegaconf.OmegaConf.load",
]


@pytest.mark.parametrize("target", HOSTILE)
def test_a_hostile_target_is_refused(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        targets.instantiate({"_target_": target})


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.SGD",
        "torch.optim.lr_scheduler.OneCycleLR",
        "torch.nn.CrossEntropyLoss",
        "torch.utils.data.DataLoader",
        "torchvision.models.resnet18",
        "torchvision.transforms.v2.Compose",
        "torchvision.datasets.FakeData",
        "torch.utils.data.Subset",
        "torch.utils.data.WeightedRandomSampler",
        "torch.nn.ModuleList",
        "torchmetrics.classification.MulticlassAccuracy",
        "pytorch_lightning.callbacks.EarlyStopping",
        "pytorch_lightning.loggers.CSVLogger",
        "pytorch_lightning.strategies.DDPStrategy",
    ],
)
def test_what_a_training_is_made_of_may_be_named(target):
    assert callable(locate(target))


@pytest.mark.parametrize(
    "code",
    [
        "metrics.load(); import pytorch_lightning, scipy.signal; assert len(scipy.signal.windows.hamming(3)) == 3",
        "sys.modules['scipy.signal'] = metrics.Signal('scipy.signal'); from scipy.signal.windows import hann;"
        "from scipy.signal import lfilter; assert sys.modules['scipy.signal'].lfilter is lfilter; metrics.load()",
    ],
    ids=["afterwards", "meanwhile"],
)
def test_scipys_signal_processing_can_be_had_beside_the_torchmetrics_that_was_spared_it(code):
    subprocess.run([sys.executable, "-c", f"import sys; from litune.targets import metrics; {code}"], check=True)


def test_a_search_does_not_import_scipys_signal_processing(tmp_path):
    words = ["backend=local", "experiment=tiny", f"search.runs={tmp_path}", "search.algorithm=random"]
    code = f"import sys; from litune import cli; assert cli.search_main({[*words, 'search.trials=1']}) == 0;"
    code += "assert 'torchmetrics' in sys.modules; assert 'scipy.signal' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
