"""A training in legs is one training: the same reports, the same weights, whatever keeps state between epochs."""

import shutil
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from litune.tasks.digits import Digits
from litune.trial import Job, Outcome, TrialState
from litune.workers.child import execute
from tests.training.test_resume import CONFIG, Killed


class Noisy(TensorDataset):
    """Images that are never twice the same."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image + 0.1 * torch.randn(image.shape), label


class Loaded(Digits):
    """Its training data come shuffled from torch's own loader."""

    def __init__(self, batch_size: int = 64, num_workers: int = 0) -> None:
        super().__init__(batch_size)
        self.num_workers = num_workers

    def train_dataloader(self) -> DataLoader:
        data = Noisy(*self.train)
        return DataLoader(data, batch_size=self.batch_size, shuffle=True, num_workers=self.num_workers)


class Remembering(Noisy):
    """Images that are the brighter the more of them this copy of the data has given."""

    given = 0

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        self.given += 1
        return image + 0.001 * self.given, label


class Kept(Digits):
    """Its data come from workers that it would keep from epoch to epoch."""

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.valid, shuffle=False)

    def _loader(self, data, shuffle: bool) -> DataLoader:
        return DataLoader(Remembering(*data), batch_size=64, shuffle=shuffle, num_workers=1, persistent_workers=True)


class Drawing(pl.Callback):
    """A user's own callback: it draws random numbers as each leg begins, and each epoch."""

    def on_fit_start(self, trainer, module):
        torch.rand(())

    def on_train_start(self, trainer, module):
        torch.rand(())

    def on_train_epoch_start(self, trainer, module):
        torch.rand(())


STEPS = 5
PLATEAU = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "patience": 0, "threshold": 0.5, "factor": 0.1}
STOPPER = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val_loss", "min_delta": 9.0}
OWN_BEST = {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "monitor": "val_acc", "mode": "max"}
KEPT = {"_target_": "tests.algorithms.test_legs.Kept", "batch_size": 64}
IN_LEGS = {"algorithm": "thaw"}
SHAPE = {"_target_": "tests.training.test_stand_ins.Shape", "hidden": 8}
LOADED = {"_target_": "tests.algorithms.test_legs.Loaded", "batch_size": 64}
CONFIGS = {
    "cosine": CONFIG,
    "plateau": {**CONFIG, "lr_scheduler": PLATEAU},
    "early stopping": {**CONFIG, "callbacks": {"stopper": {**STOPPER, "patience": 2}}},
    "a checkpoint of its own": {**CONFIG, "callbacks": {"best": OWN_BEST}},
    "torch's loader": {**CONFIG, "allow": ["tests"], "data": LOADED},
    "a worker": {**CONFIG, "allow": ["tests"], "data": {**LOADED, "num_workers": 1}},
    "a worker to be kept": {**CONFIG, "allow": ["tests"], "data": KEPT, "search": IN_LEGS},
    "a worker to be kept, and a sanity check": {
        **CONFIG,
        "allow": ["tests"],
        "data": KEPT,
        "search": IN_LEGS,
        "trainer": {**CONFIG["trainer"], "num_sanity_val_steps": 1, "check_val_every_n_epoch": 2, "max_epochs": 8},
    },
    "a dataclass and enums among its arguments": {
        **CONFIG,
        "allow": ["tests"],
        "model": {"_target_": "tests.training.test_stand_ins.Shaped", "kind": "ODD", "shape": SHAPE},
        "data": {"_target_": "tests.training.test_stand_ins.Sorted"},
    },
    "numbers drawn at its start": {
        **CONFIG,
        "allow": ["tests"],
        "data": {**LOADED, "num_workers": 1},
        "callbacks": {"drawing": {"_target_": "tests.algorithms.test_legs.Drawing"}},
    },
    "every second epoch": {**CONFIG, "trainer": {**CONFIG["trainer"], "check_val_every_n_epoch": 2, "max_epochs": 6}},
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


def leg(
    directory: Path,
    config: dict,
    start: int = 0,
    until: int | None = None,
    attempt: int = 0,
    killed_at: int | None = None,
    params: dict | None = None,
) -> tuple[Outcome, list[int]]:
    """Return how a leg ended, and the steps that it reported."""
    steps: list[int] = []

    def send(message: dict) -> None:
        steps.append(message["step"])
        if message["step"] == killed_at:
            raise Killed

    job = Job(
        number=0,
        params=params or {},
        config=config,
        directory=str(directory),
        seed=3,
        threads=1,
        start=start,
        until=until,
        attempt=attempt,
    )
    return execute(job, send), steps


def weights(directory: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=False)[
        "state_dict"
    ]
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_legs_give_the_reports_and_the_weights_of_one_training(name: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    whole, _ = leg(tmp_path / "whole", config)
    start = 0
    for until in (1, 3, None):
        outcome, steps = leg(tmp_path / "legs", config, start, until)
        if outcome.state is not TrialState.PAUSED:
            break
        assert until is not None
        assert steps == list(range(start + 1, until + 1))
        assert outcome.history == {step: whole.history[step] for step in range(1, until + 1)}
        start = until
    assert (outcome.state, outcome.score, outcome.history) == (whole.state, whole.score, whole.history)
    assert Path(outcome.checkpoint or "").name == Path(whole.checkpoint or "").name
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "legs")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_is_trained_again_counts_as_restoring(tmp_path: Path) -> None:
    config = next(iter(CONFIGS.values()))
    first, _ = leg(tmp_path, config, until=2)
    shutil.rmtree(tmp_path / "checkpoints")
    again, _ = leg(tmp_path, config, start=2, until=3)
    assert first.restoring == 0.0
    assert 0.0 < again.restoring < again.seconds


def test_a_leg_that_was_killed_is_run_again_from_where_it_came(tmp_path: Path) -> None:
    whole, _ = leg(tmp_path / "whole", CONFIG)
    leg(tmp_path, CONFIG, 0, 2)
    leg(tmp_path, CONFIG, 2, 4, killed_at=4)
    again, steps = leg(tmp_path, CONFIG, 2, 4, attempt=1)
    assert steps == [4]
    assert again.state is TrialState.PAUSED
    told_twice, steps = leg(tmp_path, CONFIG, 2, 4, attempt=2)  # killed after its end, before that was recorded
    assert steps == []
    assert (told_twice.state, told_twice.history) == (TrialState.PAUSED, again.history)
    assert told_twice.checkpoint == again.checkpoint
    last, _ = leg(tmp_path, CONFIG, 4)
    assert last.history == whole.history


def test_without_its_checkpoint_a_leg_begins_at_the_start(tmp_path: Path) -> None:
    whole, _ = leg(tmp_path / "whole", CONFIG)
    leg(tmp_path, CONFIG, 0, 2)
    for file in (tmp_path / "checkpoints").iterdir():
        file.unlink()
    outcome, steps = leg(tmp_path, CONFIG, 2, 4)
    assert steps == [1, 2, 3, 4]
    assert outcome.history == {step: whole.history[step] for step in range(1, 5)}
