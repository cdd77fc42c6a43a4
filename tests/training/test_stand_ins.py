"""A model, or its data, whose arguments are dataclasses and enums: its checkpoints are read, and no more than they."""

import enum
import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

import litune
from litune import cli
from litune.config import config as configs
from litune.errors import LituneError
from litune.tasks.digits import MLP, Digits
from litune.training.training import run_trial
from litune.trial import DirectTrial, TrialState


class Kind(str, enum.Enum):
    PLAIN = "plain"
    ODD = "odd"


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


@dataclass(slots=True)
class Inner:
    kind: Kind = Kind.ODD


@dataclass
class Shape:
    hidden: int = 8
    inner: list[Inner] = field(default_factory=lambda: [Inner()])
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        self.twice = 2 * self.hidden


class Shaped(MLP):
    def __init__(
        self, shape: Shape, kind: Kind = Kind.PLAIN, bits: Bits = Bits.ONE, dropout: float = 0.1, tells: bool = False
    ) -> None:
        super().__init__(shape.twice, dropout)
        self.save_hyperparameters()
        self.kind, self.tells = kind, tells

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.tells:
            checkpoint["told"] = {"kinds": [self.kind]}


class Reading(Shaped):
    """It reads a file of its own in each epoch, as torch lets it."""

    def on_validation_epoch_end(self) -> None:
        try:
            torch.load(Path(self.trainer.default_root_dir, "shape.pt"), weights_only=True)
            said = "read"
        except pickle.UnpicklingError:
            said = "refused"
        self.log("refused", float(said == "refused"))


class Sorted(Digits):
    def __init__(self, kind: Kind | None = Kind.ODD) -> None:
        super().__init__(64)
        self.save_hyperparameters()


def found(runs: Path, **arguments: Any) -> litune.SearchResult:
    """Return a search of one trial of one epoch."""
    shape = {"_target_": f"{__name__}.Shape", "hidden": 6}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning has much to say of so short a training
        return litune.search(
            model=Shaped, data=Sorted, metric="val_loss", mode="min", trials=1, backend="local", runs=str(runs),
            space={"optimizer.lr": litune.loguniform(1e-3, 1e-1)}, optimizer={"_target_": "torch.optim.Adam"},
            trainer={"max_epochs": 1, "limit_train_batches": 2, "accelerator": "cpu"}, threads=1,
            model_args={"shape": shape, "kind": "ODD", **arguments}, allow=[__name__], name="it", algorithm="random",
        )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_its_checkpoint_is_loaded_tested_and_predicts(tmp_path: Path) -> None:
    best = found(tmp_path).best
    assert best.checkpoint is not None
    held = torch.load(best.checkpoint, weights_only=False)
    assert held["hyper_parameters"]["shape"].inner == [Inner()]
    assert held["datamodule_hyper_parameters"] == {"kind": Kind.ODD}
    safe = set(torch.serialization.get_safe_globals())
    model = best.load()
    assert model.hparams.shape.twice == 12
    assert all(torch.equal(held["state_dict"][name], value) for name, value in model.state_dict().items())
    assert cli.main(["test", str(tmp_path / "it")]) == 0
    assert cli.main(["predict", str(tmp_path / "it"), "--out", str(tmp_path / "out.csv")]) == 0
    assert set(torch.serialization.get_safe_globals()) == safe


@pytest.mark.filterwarnings("ignore")
def test_what_the_model_itself_puts_elsewhere_is_refused_with_a_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = found(tmp_path, tells=True).best
    told = "it holds one of Bits, Inner, Kind, Shape beside the hyperparameters; on_save_checkpoint and state_dict"
    with pytest.raises(LituneError, match=told):
        best.load()
    assert cli.main(["test", str(tmp_path / "it")]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_types_that_its_code_told_torch_to_be_safe_are_read_as_they_are(tmp_path: Path) -> None:
    best = found(tmp_path, tells=True).best
    with torch.serialization.safe_globals([Kind, Inner, Shape]):
        assert best.load().hparams.kind is Kind.ODD
        assert {Kind, Inner, Shape} <= set(torch.serialization.get_safe_globals())


@pytest.mark.filterwarnings("ignore")
def test_what_its_own_code_reads_while_a_continued_training_goes_on_is_as_torch_has_it(tmp_path: Path) -> None:
    shape = {"_target_": f"{__name__}.Shape", "hidden": 6}
    config = configs.from_plain({
        "allow": [__name__], "backend": {"name": "local"}, "objective": {"metric": "refused"},
        "model": {"_target_": f"{__name__}.Reading", "shape": shape, "kind": "ODD"},
        "data": {"_target_": f"{__name__}.Sorted"},
        "optimizer": {"_target_": "torch.optim.Adam"}, "trainer": {"max_epochs": 2, "limit_train_batches": 2},
    })  # fmt: skip
    torch.save(Shape(), tmp_path / "shape.pt")
    trial = DirectTrial(tmp_path)
    trial.until = 1
    assert run_trial(config, trial).state is TrialState.PAUSED
    trial.checkpoint, trial.until = str(tmp_path / "checkpoints" / "last.ckpt"), None
    assert run_trial(config, trial).history == {1: 1.0, 2: 1.0}
