"""litune.search by backend=local, in the process that calls it: what a function or a model does to it."""

import enum
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

import litune
from litune.errors import InputError
from litune.tasks.digits import MLP, Digits
from litune.trial import TrialState

pytestmark = pytest.mark.filterwarnings("default")  # Lightning has much to say of such short trainings
interrupted: set[float] = set()


def once(value: float) -> None:
    """Press Ctrl-C the first time that a trial has this value."""
    if value not in interrupted:
        interrupted.add(value)
        os.kill(os.getpid(), signal.SIGINT)


def dips(params: dict[str, Any], trial: Any) -> None:
    for step in (1, 2, 3):
        trial.report(step, math.nan if step == params["at"] else step)


def counts(params: dict[str, Any], trial: Any) -> None:
    for step in np.arange(1, 3):
        trial.report(params["by"] * step, 0.5)


def pressed(params: dict[str, Any], trial: Any) -> float:
    once(params["x"])
    return params["x"]


def waits(params: dict[str, Any], trial: Any) -> float:
    """The first time that it is called, it takes longer than any test would wait."""
    called = trial.directory.parent / "called"
    first = not called.exists()
    called.touch()
    while first:
        time.sleep(0.01)
    return params["x"]


def late(params: dict[str, Any], trial: Any) -> float:
    """Its best is its first step, and it returns its last: what a pruned call scores is not the best of its curve."""
    value = 0.0
    for step in range(1, 5):
        value = (0.9 if step == 1 else 0.1) if params["k"] == 0 else 0.5 + 0.01 * params["k"]
        trial.report(step, value)
        if trial.should_stop():
            break
    return value


class Pressed(MLP):
    def on_train_epoch_end(self) -> None:
        once(self.hparams.dropout)


def test_a_metric_that_is_no_number_at_any_step_fails_the_trial(tmp_path: Path) -> None:
    result = litune.search(dips, space={"at": [1, 2, 4]}, trials=3, backend="local", runs=str(tmp_path))
    found = {row.params["function.at"]: row for row in result.rows}
    assert [found[at].state for at in (1, 2, 4)] == [TrialState.FAILED, TrialState.FAILED, TrialState.COMPLETE]
    assert found[1].failure.message == "score was nan at step 1"
    assert found[4].score == 3
    assert litune.SearchResult(result.directory).digest == result.digest  # as read again


def test_what_the_caller_gives_stays_as_it_is(tmp_path: Path) -> None:
    trainer: dict[str, Any] = {"max_epochs": 3}
    retries = {"killed": 1}
    more = {"trainer.max_epochs": 9, "search.retries.killed": 0}
    asked: dict[str, Any] = {"trainer": trainer, "retries": retries, "runs": str(tmp_path), **more}
    result = litune.search(dips, space={"at": [4]}, trials=1, backend="local", **asked)
    assert (result.config.trainer.max_epochs, result.config.search.retries.killed) == (9, 0)
    assert (trainer, retries) == ({"max_epochs": 3}, {"killed": 1})


def test_steps_may_be_numpys_whole_numbers_and_no_others(tmp_path: Path) -> None:
    result = litune.search(counts, space={"by": [2, 1.5]}, trials=2, backend="local", runs=str(tmp_path))
    found = {row.params["function.by"]: row for row in result.rows}
    assert found[2].history == {2: 0.5, 4: 0.5}
    assert "trial.report: got step 1.5; expected a whole number" in found[1.5].failure.message


class Act(enum.Enum):
    RELU = torch.nn.ReLU
    TANH = torch.nn.Tanh


class Chosen(MLP):
    def __init__(self, root: Path, hidden: int, lr: float, act: Act, other=Act.RELU) -> None:
        super().__init__(hidden=hidden)
        assert (root, type(hidden), lr, act, other) == (Path("a"), int, 0.5, Act.TANH, Act.TANH)


def test_values_of_numpy_paths_and_enums_reach_the_class(tmp_path: Path) -> None:
    result = litune.search(
        model=Chosen,
        data=Digits,
        model_args={"root": Path("a"), "lr": np.float64(0.5), "act": Act.TANH, "other": Act.TANH},
        space={"model.hidden": list(np.array([4, 8])), "optimizer.lr": litune.uniform(np.float32(0.25), 0.5)},
        metric="val_acc",
        trials=np.int64(1),
        backend="local",
        algorithm="random",
        runs=tmp_path / "runs",
        optimizer={"_target_": torch.optim.SGD, "lr": 1},
        trainer={"max_epochs": 1, "limit_train_batches": 1, "log_every_n_steps": 1},
    )
    assert [row.state for row in result.rows] == [TrialState.COMPLETE], result.rows


class Pretrained(MLP):
    """Its checkpoints have no weights of the pretrained part, and say beside those of the rest what it has seen."""

    def __init__(self, hidden: int) -> None:
        super().__init__(hidden=hidden)
        self.strict_loading, self.head, self.seen = False, None, 0

    def configure_model(self) -> None:
        self.head = self.head or torch.nn.Linear(10, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(super().forward(images))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen += 1
        return super().training_step(batch, batch_idx)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        held = super().state_dict(*args, **kwargs)
        return {name: value for name, value in held.items() if name.startswith("head.")}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["seen"] = self.seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.seen = checkpoint["seen"]


def trained_a_little(model: type, tmp_path: Path) -> litune.SearchResult:
    return litune.search(
        model=model,
        data=Digits,
        space={"model.hidden": [4]},
        metric="val_acc",
        trials=1,
        backend="local",
        runs=tmp_path,
        optimizer={"_target_": torch.optim.SGD, "lr": 0.1},
        trainer={"max_epochs": 1, "limit_train_batches": 3, "log_every_n_steps": 1},
    )


def test_the_best_model_is_loaded_as_lightning_loads_it(tmp_path: Path) -> None:
    result = trained_a_little(Pretrained, tmp_path)
    model = result.best.load()
    weights = torch.load(result.best.checkpoint, weights_only=True)["state_dict"]
    assert model.seen == 3
    assert weights.keys() == {"head.weight", "head.bias"}
    assert all(torch.equal(model.state_dict()[name], weights[name]) for name in weights)


class SetUp(MLP):
    """It has a layer that only a Trainer's call makes."""

    def __init__(self, hidden: int) -> None:
        super().__init__(hidden=hidden)
        self.head: Any = None

    def setup(self, stage: str) -> None:
        self.head = torch.nn.Linear(10, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(super().forward(images))


class Sized(SetUp):
    """Its layer asks the Trainer for the data."""

    def setup(self, stage: str) -> None:
        pass

    def configure_model(self) -> None:
        self.head = torch.nn.Linear(10, self.trainer.datamodule.hparams.get("width", 10))


@pytest.mark.parametrize(("model", "said"), [(SetUp, 'Unexpected key.*"head.weight"'), (Sized, "not attached to a")])
def test_a_model_whose_layers_need_a_trainer_is_not_loaded_and_the_cure_told(
    model: type, said: str, tmp_path: Path
) -> None:
    result = trained_a_little(model, tmp_path)
    with pytest.raises(litune.LituneError, match=rf"does not fit a new {model.__name__}: .*{said}.*; layers .*: make"):
        result.best.load()


class Refusing(MLP):
    """It does not take its checkpoint back."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        raise RuntimeError("no longer of use")


def test_an_error_of_a_models_own_on_load_checkpoint_is_not_told_as_another(tmp_path: Path) -> None:
    result = trained_a_little(Refusing, tmp_path)
    with pytest.raises(RuntimeError, match=r"^no longer of use$"):
        result.best.load()


class Configured(MLP):
    """Its arguments are one mapping."""

    def __init__(self, cfg: dict[str, Any]) -> None:
        super().__init__(hidden=cfg["net"]["hidden"], dropout=cfg["dropout"])


def test_a_mapping_of_hyperparameters_may_come_from_the_space_alone(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": Configured, "data": Digits, "metric": "val_acc", "trials": 2}
    asked |= {"backend": "local", "runs": tmp_path, "optimizer": {"_target_": torch.optim.SGD, "lr": 0.1}}
    asked |= {"trainer": {"max_epochs": 1, "limit_train_batches": 3, "log_every_n_steps": 1}}
    result = litune.search(**asked, space={"model.cfg.net.hidden": [4, 8], "model.cfg.dropout": [0.5]})
    assert [row.state for row in result.rows] == [TrialState.COMPLETE] * 2
    with pytest.raises(InputError, match=r"model\.cfg: got nothing; expected a value"):
        litune.search(**asked, space={"optimizer.lr": [0.1]})


@pytest.mark.parametrize(
    ("asked", "cure"),
    [
        (
            {"data_args": {"it": Digits()}},
            r"data\.it: got .*; give what each trial makes it of: {'_target_': Digits, its",
        ),
        (
            {"data_args": {"it": Digits}},
            r"data\.it: got .*; give what each trial makes it of: {'_target_': Digits, its",
        ),
        ({"space": {"model.it": [torch.nn.Tanh()]}}, r"trial makes it of: {'_name': 'torch\.nn\.[a-z.]+\.Tanh'}"),
        ({"space": {"model.it": [torch.nn.Tanh]}}, r"trial makes it of: {'_name': 'torch\.nn\.[a-z.]+\.Tanh'}"),
        ({"space": {"optimizer": [{"_name": torch.optim.SGD}]}}, r"_name: got .*; give 'torch\.optim\.sgd\.SGD'"),
    ],
)
def test_an_object_or_a_class_is_refused_with_the_way_to_give_it(asked: dict[str, Any], cure: str) -> None:
    with pytest.raises(InputError, match=cure):
        litune.search(**{"model": MLP, "data": Digits, "metric": "val_acc", "space": {"model.hidden": [4]}, **asked})


def test_what_is_neither_a_list_nor_a_range_is_refused_at_once_with_what_may_be_meant(tmp_path: Path) -> None:
    given = {"lr": (0.1, 1.0), "width": range(8, 12), "act": [{"_name": "relu", "slope": 0.5}], "deep": True}
    with pytest.raises(InputError) as refused:
        litune.search(squared, space=given, trials=1, backend="local", runs=tmp_path)
    said = {problem.key: (problem.got, problem.cure) for problem in refused.value.problems}
    assert said == {
        "function.lr": ("(0.1, 1.0)", "litune.uniform(0.1, 1.0) is a range, [0.1, 1.0] are two values"),
        "function.width": ("range(8, 12)", ""),
        "function.act.slope": ("0.5", ""),
        "function.deep": ("True", ""),
    }
    assert {problem.expected for problem in refused.value.problems} == {
        "a list of the values, as [1, 2], or a range, as litune.uniform(0, 1)"
    }


def chosen(params: dict[str, Any], trial: Any) -> float:
    return params["way"].get("x", 9) * params["by"]


def test_a_nested_choice_has_litunes_ranges_and_lists_and_is_the_same_search_as_in_nnis_form(tmp_path: Path) -> None:
    ranges = [{"_name": "far"}, {"_name": "near", "x": litune.uniform(1, 2), "deep": [{"_name": "a", "y": [3, 4]}]}]
    deep = {"_type": "choice", "_value": [{"_name": "a", "y": {"_type": "choice", "_value": [3, 4]}}]}
    specs = [{"_name": "far"}, {"_name": "near", "x": {"_type": "uniform", "_value": [1, 2]}, "deep": deep}]
    mixed = {"_type": "choice", "_value": ranges}
    asked: dict[str, Any] = {"trials": 8, "backend": "local", "algorithm": "random", "runs": str(tmp_path)}
    found = [
        litune.search(chosen, space={"way": way, "by": litune.choice(1, 2)}, **asked)
        for way in (ranges, litune.choice(ranges), litune.choice(*ranges), mixed, {"_type": "choice", "_value": specs})
    ]
    assert len({result.directory for result in found}) == 1
    names = {frozenset(row.params) - {"function.by"} for row in found[0].rows}
    near = {"function.way._name", "function.way.x", "function.way.deep._name", "function.way.deep.y"}
    assert names == {frozenset({"function.way._name"}), frozenset(near)}


class Counted(Callback):
    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        (Path(trainer.default_root_dir) / "counted").touch()


def test_a_callback_without_arguments_is_given_as_its_class(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": MLP, "data": Digits, "metric": "val_acc", "trials": 1, "backend": "local"}
    asked |= {"trainer": {"max_epochs": 1, "limit_train_batches": 1, "log_every_n_steps": 1}, "runs": str(tmp_path)}
    asked |= {"optimizer": torch.optim.SGD, "space": {"optimizer.lr": [0.1]}}
    result = litune.search(**asked, callbacks={"counted": Counted})
    assert (result.best.directory / "counted").exists()


@pytest.mark.parametrize("several", [False, True])
def test_a_loader_in_place_of_a_datamodule_is_refused_with_the_cure(several: bool, tmp_path: Path) -> None:
    cure = r"data: got .*<.*; expected a subclass of LightningDataModule; write one whose train_dataloader\(\)"
    loader: Any = torch.utils.data.DataLoader([1])
    with pytest.raises(InputError, match=cure):
        litune.search(model=MLP, data=[loader] if several else loader, metric="val_acc", space={"model.hidden": [4]})


def squared(params: dict[str, Any], trial: Any) -> float:
    return float(params["x"]) ** 2


def test_a_function_has_the_names_of_its_space_in_the_queue_too(tmp_path: Path) -> None:
    queue = [{"x": 2.0}, {"function.x": 3.0}, {"function": {"x": 4.0}}]
    space = {"x": litune.uniform(1, 9)}
    result = litune.search(squared, space=space, enqueue=queue, trials=3, backend="local", runs=str(tmp_path))
    assert [row.score for row in result.rows] == [4, 9, 16]


@pytest.mark.parametrize("what", ["function", "model"])
def test_ctrl_c_ends_the_search_and_no_trial(what: str, tmp_path: Path) -> None:
    interrupted.clear()
    asked: dict[str, Any] = {
        "trials": 2,
        "backend": "local",
        "algorithm": "random",
        "name": "it",
        "runs": str(tmp_path),
    }
    if what == "function":
        asked |= {"function": pressed, "space": {"x": litune.uniform(0, 1)}}
    else:
        asked |= {"model": Pressed, "data": Digits, "space": {"model.dropout": litune.uniform(0, 0.5)}}
        asked |= {"metric": "val_acc", "trainer": {"max_epochs": 1, "limit_train_batches": 2, "log_every_n_steps": 1}}
        asked |= {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.01}}
    handler = signal.getsignal(signal.SIGINT)
    for trial in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            litune.search(**asked)
        rows = litune.SearchResult(tmp_path / "it").rows
        assert rows[trial].state is TrialState.PAUSED
        assert signal.getsignal(signal.SIGINT) is handler
    assert [row.state for row in litune.search(**asked).rows] == [TrialState.COMPLETE] * 2


def test_a_search_without_the_time_for_a_trial_raises_and_goes_on_with_more(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"space": {"x": [1, 2]}, "trials": 2, "backend": "local", "name": "it", "runs": tmp_path}
    with pytest.raises(litune.LituneError, match=r"no trial was completed; search\.timeout was over before; with more"):
        litune.search(waits, **asked, timeout=0.2)
    assert [row.state for row in litune.search(waits, **asked).rows] == [TrialState.COMPLETE] * 2


def test_a_search_without_the_time_to_start_a_trial_says_so(tmp_path: Path) -> None:
    with pytest.raises(litune.LituneError, match=r"no trial was completed; search\.timeout was over before"):
        litune.search(squared, space={"x": [1, 2]}, backend="local", runs=tmp_path, timeout=1e-9)


def test_a_function_that_is_told_to_stop_is_called_again_for_params_tried_before(tmp_path: Path) -> None:
    queue = [{"function.k": k} for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0)]
    asked: dict[str, Any] = {"space": {"k": list(range(12))}, "algorithm": "random", "pruner": "median", "trials": 11}
    asked |= {"enqueue": queue, "backend": "local", "runs": str(tmp_path)}
    called = litune.search(late, **asked, name="called", duplicates="run")
    assert [row.state for row in called.rows[9:]] == [TrialState.PRUNED] * 2
    assert litune.search(late, **asked, name="answered").digest == called.digest
