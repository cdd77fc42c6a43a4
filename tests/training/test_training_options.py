"""Callbacks and Trainer options by config, each through a real trial."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from litune.config import config as configs
from litune.tasks.digits import MLP
from litune.training.training import run_trial
from litune.trial import DirectTrial, Outcome, TrialState

BASE = {
    "seed": 3,
    "model": {"_target_": "litune.tasks.digits.MLP", "hidden": 16},
    "data": {"_target_": "litune.tasks.digits.Digits", "batch_size": 64},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    "trainer": {"max_epochs": 3, "accelerator": "cpu", "limit_train_batches": 4, "log_every_n_steps": 1},
    "logger": {"csv": {"_target_": "pytorch_lightning.loggers.CSVLogger"}},
    "objective": {"metric": "val_acc", "mode": "max"},
    "backend": {"name": "local"},
}
CALLBACKS = "pytorch_lightning.callbacks"

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


class Seen(pl.Callback):
    """A user's own callback: keep the trainer, and count its steps."""

    trainer: pl.Trainer
    steps = 0

    def on_before_optimizer_step(self, trainer, module, optimizer):
        Seen.trainer = trainer
        Seen.steps += 1


class Manual(MLP):
    """It optimizes by hand: `times` steps of its optimizer after every second batch."""

    def __init__(self, times: int) -> None:
        super().__init__(hidden=16)
        self.automatic_optimization, self.times = False, times

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        self.manual_backward(super().training_step(batch, batch_idx))
        for _ in range(self.times if batch_idx % 2 else 0):
            optimizer.step()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Keeping(MLP):
    """It brings a checkpoint callback of its own."""

    def configure_callbacks(self):
        return [pl.callbacks.ModelCheckpoint(monitor="val_acc", mode="max")]


@pytest.fixture(autouse=True)
def project(monkeypatch):
    """Make this file a module that a config may name, as one in the user's directory."""
    monkeypatch.setitem(sys.modules, "options_seen", sys.modules[__name__])
    Seen.steps = 0


def train(directory: Path, checkpoint: str | None = None, until: int | None = None, **sections) -> Outcome:
    callbacks = {"seen": {"_target_": "options_seen.Seen"}, **sections.pop("callbacks", {})}
    trainer = {**BASE["trainer"], **sections.pop("trainer", {})}
    made = {**BASE, "allow": ["options_seen"], "callbacks": callbacks, "trainer": trainer, **sections}
    trial = DirectTrial(directory)
    trial.checkpoint, trial.until = checkpoint, until
    return run_trial(configs.from_plain(made), trial)


def rows(directory: Path) -> list[dict[str, str]]:
    with (directory / "csv" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def checkpoints(directory: Path) -> set[str]:
    folder = directory / "checkpoints"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.ckpt")}


def test_a_model_checkpoint_of_the_users_keeps_what_it_says_and_the_last_epoch_is_kept_too(tmp_path):
    kept = {
        "_target_": f"{CALLBACKS}.ModelCheckpoint", "monitor": "val_acc", "mode": "max", "save_top_k": 2,
        "filename": "{epoch}-{val_acc:.2f}", "save_last": True, "save_weights_only": True,
    }  # fmt: skip
    outcome = train(tmp_path, callbacks={"kept": kept})
    best = sorted(outcome.history, key=lambda step: outcome.history[step])[-2:]
    names = {f"kept/epoch={step - 1}-val_acc={outcome.history[step]:.2f}.ckpt" for step in best}
    assert checkpoints(tmp_path) == {*names, "kept/last.ckpt", "last.ckpt"}
    assert outcome.checkpoint in {str(tmp_path / "checkpoints" / name) for name in names}
    weights = torch.load(outcome.checkpoint, weights_only=True)
    assert "optimizer_states" not in weights
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["epoch"], len(last["optimizer_states"])) == (2, 1)


def test_a_model_checkpoint_without_a_metric_may_stand_beside_our_own(tmp_path):
    every = {"_target_": f"{CALLBACKS}.ModelCheckpoint", "save_top_k": -1, "filename": "at{step}"}
    outcome = train(tmp_path, callbacks={"every": every})
    best = max(outcome.history, key=lambda step: outcome.history[step])
    ours = {f"epoch={best - 1}.ckpt", "last.ckpt"}
    assert checkpoints(tmp_path) == {*(f"every/atstep={4 * epoch}.ckpt" for epoch in (1, 2, 3)), *ours}
    assert outcome.state is TrialState.COMPLETE
    assert outcome.checkpoint == str(tmp_path / "checkpoints" / f"epoch={best - 1}.ckpt")


@pytest.mark.parametrize(("monitor", "mode"), [("val_loss", "min"), ("val_acc", "min")])
def test_the_best_is_that_of_the_objective_whatever_else_is_kept(tmp_path, monitor, mode):
    kept = {"_target_": f"{CALLBACKS}.ModelCheckpoint", "monitor": monitor, "mode": mode}
    outcome = train(tmp_path, callbacks={"kept": kept})
    best = max(outcome.history, key=lambda step: outcome.history[step])
    assert outcome.checkpoint == str(tmp_path / "checkpoints" / f"epoch={best - 1}.ckpt")


def test_a_model_that_brings_its_own_checkpoint_callback_does_not_displace_ours(tmp_path):
    outcome = train(tmp_path, model={"_target_": "options_seen.Keeping", "hidden": 16})
    best = max(outcome.history, key=lambda step: outcome.history[step])
    assert outcome.checkpoint == str(tmp_path / "checkpoints" / f"epoch={best - 1}.ckpt")


def test_the_best_is_that_of_the_checkpoint_callback_which_watches_the_objective(tmp_path):
    every = {"_target_": f"{CALLBACKS}.ModelCheckpoint", "save_top_k": -1, "filename": "at{step}"}
    kept = {"_target_": f"{CALLBACKS}.ModelCheckpoint", "monitor": "val_acc", "mode": "max", "filename": "{epoch}"}
    outcome = train(tmp_path, callbacks={"every": every, "kept": kept})
    best = max(outcome.history, key=lambda step: outcome.history[step])
    assert outcome.checkpoint == str(tmp_path / "checkpoints" / "kept" / f"epoch={best - 1}.ckpt")


def test_checkpoints_can_be_turned_off(tmp_path):
    outcome = train(tmp_path, trainer={"enable_checkpointing": False})
    assert outcome.checkpoint is None
    assert checkpoints(tmp_path) == set()


def test_the_learning_rate_is_monitored(tmp_path):
    monitor = {"_target_": f"{CALLBACKS}.LearningRateMonitor", "logging_interval": "epoch"}
    train(tmp_path, callbacks={"rate": monitor})
    assert [float(row["lr-Adam"]) for row in rows(tmp_path) if row.get("lr-Adam")] == [0.01] * 3


def test_a_plateau_of_the_objective_is_judged_the_objectives_way(tmp_path):
    monitor = {"_target_": f"{CALLBACKS}.LearningRateMonitor", "logging_interval": "epoch"}
    plateau = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "patience": 0, "factor": 0.1}
    outcome = train(tmp_path, callbacks={"rate": monitor}, lr_scheduler=plateau)  # of an accuracy that rises
    rate, best, expected = 0.01, 0.0, []
    for value in outcome.history.values():
        expected.append(rate)
        rate, best = (rate, value) if value > best * (1 + 1e-4) else (rate * 0.1, best)
    assert [float(row["lr-Adam"]) for row in rows(tmp_path) if row.get("lr-Adam")] == pytest.approx(expected)
    assert outcome.history[2] > outcome.history[1]


def test_weights_are_averaged(tmp_path):
    swa = {"_target_": f"{CALLBACKS}.StochasticWeightAveraging", "swa_lrs": 0.05, "swa_epoch_start": 1}
    train(tmp_path, callbacks={"swa": swa})
    [averaging] = [c for c in Seen.trainer.callbacks if isinstance(c, pl.callbacks.StochasticWeightAveraging)]
    assert averaging.n_averaged > 1


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ({"precision": "bf16-mixed"}, lambda trainer: trainer.precision == "bf16-mixed"),
        ({"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"}, lambda trainer: trainer.gradient_clip_val),
        ({"accumulate_grad_batches": 2}, lambda trainer: Seen.steps == 6),
        ({"limit_train_batches": 2, "limit_val_batches": 1}, lambda trainer: trainer.num_val_batches == [1]),
        ({"limit_train_batches": 0.5}, lambda trainer: trainer.num_training_batches == 11),
        ({"fast_dev_run": True}, lambda trainer: Seen.steps == 1),
        ({"profiler": "simple"}, lambda trainer: trainer.profiler.recorded_durations),
        ({"deterministic": True}, lambda trainer: torch.are_deterministic_algorithms_enabled()),
        ({"benchmark": True}, lambda trainer: torch.backends.cudnn.benchmark),
        ({"compile": True}, lambda trainer: trainer.lightning_module._compiled_call_impl is not None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_of_the_trainer_reaches_it(options, holds, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    deterministic, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    try:
        outcome = train(tmp_path, trainer={"max_epochs": 1 if "compile" in options else 3, **options})
        assert outcome.state is TrialState.COMPLETE
        assert holds(Seen.trainer)
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.benchmark = benchmark


def test_the_rows_of_an_earlier_leg_stay_in_the_csv(tmp_path):
    whole = train(tmp_path / "whole")
    train(tmp_path / "legs", until=2)
    second = train(tmp_path / "legs", checkpoint=str(tmp_path / "legs" / "checkpoints" / "last.ckpt"))
    assert second.history == whole.history
    assert rows(tmp_path / "legs") == rows(tmp_path / "whole")


def test_rows_after_the_checkpoint_are_those_of_the_continued_training(tmp_path):
    train(tmp_path, until=1)
    early = (tmp_path / "checkpoints" / "last.ckpt").rename(tmp_path / "early.ckpt")
    train(tmp_path, checkpoint=str(early), until=2)
    train(tmp_path, checkpoint=str(early))  # as if the second leg had been killed
    epochs = [int(row["epoch"]) for row in rows(tmp_path) if row.get("val_acc")]
    assert epochs == [0, 1, 2]


@pytest.mark.parametrize("times", [1, 5])  # fewer steps of the optimizer than batches, and more
def test_rows_of_a_model_that_optimizes_by_hand_are_those_of_its_batches(times, tmp_path):
    model = {"_target_": "options_seen.Manual", "times": times}
    by_hand = {"model": model, "optimizer": {}, "callbacks": {"seen": None}}
    train(tmp_path / "whole", **by_hand)
    train(tmp_path / "legs", until=1, **by_hand)
    early = (tmp_path / "legs" / "checkpoints" / "last.ckpt").rename(tmp_path / "early.ckpt")
    train(tmp_path / "legs", checkpoint=str(early), until=2, **by_hand)
    train(tmp_path / "legs", checkpoint=str(early), **by_hand)  # as if the second leg had been killed
    assert rows(tmp_path / "legs") == rows(tmp_path / "whole")
