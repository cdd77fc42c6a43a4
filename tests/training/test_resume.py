"""An interrupted trial goes on from its last checkpoint, to the same curve."""

import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from litune.tasks.digits import MLP, Digits
from litune.training import reporting
from litune.trial import Job, Outcome, TrialState
from litune.workers.child import execute

CONFIG = {
    "experiment": "digits_mlp",
    "seed": 3,
    "model": {"_target_": "litune.tasks.digits.MLP", "hidden": 16, "dropout": 0.3},
    "data": {"_target_": "litune.tasks.digits.Digits", "batch_size": 64},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    "lr_scheduler": {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": 5},
    "trainer": {"max_epochs": 5, "accelerator": "cpu", "limit_train_batches": 6},
    "logger": {},
    "objective": {"metric": "val_loss", "mode": "min"},
    "backend": {"name": "local"},
}

CALLBACKS = "pytorch_lightning.callbacks"

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


class Drawn(Digits):
    """Its training data are shuffled by a generator of their own."""

    def train_dataloader(self) -> DataLoader:
        generator = torch.Generator().manual_seed(1)
        return DataLoader(TensorDataset(*self.train), batch_size=64, shuffle=True, generator=generator)


class Batched(Digits):
    """The order of its batches is drawn by a generator of their own."""

    def train_dataloader(self) -> DataLoader:
        data = TensorDataset(*self.train)
        order = RandomSampler(data, generator=torch.Generator().manual_seed(1))
        return DataLoader(data, batch_sampler=BatchSampler(order, 64, drop_last=False))


class Kept(Digits):
    """The workers that load its training data live on from epoch to epoch."""

    def train_dataloader(self) -> DataLoader:
        data = TensorDataset(*self.train)
        return DataLoader(data, batch_size=64, shuffle=True, num_workers=1, persistent_workers=True)


class KeptForValidation(Digits):
    def val_dataloader(self) -> DataLoader:
        return DataLoader(TensorDataset(*self.valid), batch_size=64, num_workers=1, persistent_workers=True)


class Thawing(MLP):
    """Its first layer is trained from the third epoch on, as a pretrained one would be."""

    def __init__(self, hidden: int, dropout: float, group: bool = False) -> None:
        super().__init__(hidden, dropout)
        self.group = group
        self.net[1].requires_grad_(False)

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == 2:
            self.net[1].requires_grad_(True)
            if self.group:
                self.optimizers().add_param_group({"params": [self.net[1].weight, self.net[1].bias]})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.net[4].parameters() if self.group else self.parameters(), lr=0.01)


class Placed(MLP):
    """A model whose checkpoints hold more than plain values, dataclasses and enums."""

    def __init__(self, hidden: int, dropout: float, place: Path = Path("/")) -> None:
        super().__init__(hidden, dropout)
        self.save_hyperparameters()


class Killed(BaseException):
    """Ends a training as abruptly as one process can."""


def run(
    directory: Path, *, attempt: int = 0, killed_at: int | None = None, lr: float = 0.01, config: dict = CONFIG
) -> tuple[Outcome, list[int]]:
    """Return how the trial ended, and the steps that it reported in this attempt."""
    steps: list[int] = []

    def send(message: dict) -> None:
        steps.append(message["step"])
        if message["step"] == killed_at:
            raise Killed

    job = Job(
        number=0,
        params={"optimizer.lr": lr} if config["optimizer"] else {},
        config=config,
        directory=str(directory),
        seed=3,
        threads=1,
        attempt=attempt,
    )
    return execute(job, send), steps


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome, _ = run(tmp_path_factory.mktemp("whole"))
    assert outcome.state is TrialState.COMPLETE
    return outcome


def test_it_goes_on_after_its_last_whole_epoch(whole: Outcome, tmp_path: Path) -> None:
    run(tmp_path, killed_at=4)  # in the fourth epoch, whose checkpoint was not written yet
    again, steps = run(tmp_path, attempt=1)
    assert steps == [4, 5]
    assert (again.state, again.score, again.history) == (whole.state, whole.score, whole.history)


@pytest.mark.parametrize(("seconds", "again"), [(0.0, [4, 5]), (60.0, [2, 3, 4, 5])])
def test_of_epochs_that_are_no_better_those_are_kept_that_end_some_time_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, again: list[int]
) -> None:
    monkeypatch.setattr(reporting, "_SELDOM", seconds)
    first, _ = run(tmp_path / "whole", lr=0.0)
    run(tmp_path / "killed", lr=0.0, killed_at=4)
    outcome, steps = run(tmp_path / "killed", lr=0.0, attempt=1)
    assert steps == again  # the best epoch was the first
    assert outcome.history == first.history


def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    whole: Outcome, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, killed_at=3)
    (best,) = (tmp_path / "checkpoints").glob("epoch=*.ckpt")
    shutil.copy(best, tmp_path / "checkpoints" / "before.ckpt")
    run(tmp_path, attempt=1, killed_at=5)
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.write_bytes(best.read_bytes()[:5000])
    for best in (tmp_path / "checkpoints").glob("epoch=*.ckpt"):
        best.write_bytes(b"")
    again, steps = run(tmp_path, attempt=2)
    assert steps == [3, 4, 5]
    assert again.history == whole.history
    assert f"{last} cannot be read" in capfd.readouterr().err


def test_without_any_whole_checkpoint_it_starts_again(whole: Outcome, tmp_path: Path) -> None:
    run(tmp_path, killed_at=4)
    for file in (tmp_path / "checkpoints").iterdir():
        file.write_bytes(b"nothing")
    again, steps = run(tmp_path, attempt=1)
    assert steps == [1, 2, 3, 4, 5]
    assert again.history == whole.history


def test_a_checkpoint_of_other_params_is_not_its_own(tmp_path: Path) -> None:
    run(tmp_path, killed_at=4, lr=0.02)
    _, steps = run(tmp_path, attempt=1)
    assert steps == [1, 2, 3, 4, 5]


def test_one_that_had_stopped_early_does_not_go_on_beyond_that(tmp_path: Path) -> None:
    stopper = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val_loss", "min_delta": 9.0}
    config = {**CONFIG, "callbacks": {"stopper": {**stopper, "patience": 2}}}
    stopped, _ = run(tmp_path, config=config)
    assert len(stopped.history) == 3
    again, _ = run(tmp_path, attempt=1, config=config)
    assert again.history == stopped.history


def test_one_that_was_killed_after_its_last_epoch_keeps_its_curve(whole: Outcome, tmp_path: Path) -> None:
    run(tmp_path)
    again, _ = run(tmp_path, attempt=1)
    assert (again.state, again.score, again.history) == (whole.state, whole.score, whole.history)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("trainer", {"max_steps": 28}),
        ("trainer", {"reload_dataloaders_every_n_epochs": 2}),
        ("trainer", {"precision": "64-true"}),
        ("data", {"_target_": "tests.training.test_resume.Drawn"}),
        ("data", {"_target_": "tests.training.test_resume.Batched"}),
        ("data", {"_target_": "tests.training.test_resume.Kept"}),
        ("data", {"_target_": "tests.training.test_resume.KeptForValidation"}),
        ("callbacks", {"it": {"_target_": f"{CALLBACKS}.BatchSizeFinder", "max_trials": 1}}),
        ("callbacks", {"it": {"_target_": f"{CALLBACKS}.ModelPruning", "pruning_fn": "l1_unstructured"}}),
    ],
)
def test_what_lightning_would_not_go_on_with_as_before_starts_again(section: str, change: dict, tmp_path: Path) -> None:
    config = {**CONFIG, "allow": ["tests"], section: {**CONFIG.get(section, {}), **change}}
    whole, _ = run(tmp_path / "whole", config=config)
    run(tmp_path / "killed", killed_at=3, config=config)
    again, steps = run(tmp_path / "killed", attempt=1, config=config)
    assert whole.state is TrialState.COMPLETE
    assert again.history == whole.history
    assert steps[0] == 1


@pytest.mark.parametrize("group", [False, True])
def test_a_training_that_unfroze_params_on_its_way_does_not_go_on_without_them(
    group: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_SELDOM", 0.0)
    model = {**CONFIG["model"], "_target_": "tests.training.test_resume.Thawing", "group": group}
    config = {**CONFIG, "allow": ["tests"], "model": model, "optimizer": {}, "lr_scheduler": {}}
    whole, _ = run(tmp_path / "whole", config=config)
    run(tmp_path / "killed", killed_at=5, config=config)
    again, _ = run(tmp_path / "killed", attempt=1, config=config)
    assert whole.state is TrialState.COMPLETE
    assert again.history == whole.history


def test_a_checkpoint_that_holds_more_than_plain_values_is_told_with_what_and_the_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {**CONFIG["model"], "_target_": "tests.training.test_resume.Placed"}
    config = {**CONFIG, "allow": ["tests"], "model": model}
    run(tmp_path, killed_at=3, config=config)
    again, steps = run(tmp_path, attempt=1, config=config)
    assert again.state is TrialState.COMPLETE
    assert steps[0] == 1
    told = capsys.readouterr().err
    assert ".ckpt cannot be read (it holds more than weights and plain values: pathlib.PosixPath;" in told
    assert "self.save_hyperparameters(ignore=[...])" in told
