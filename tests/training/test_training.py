"""run_trial on the digits, in this process: what a config asks of a training is what happens."""

import csv
import json
import random
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from litune.config import config as configs
from litune.training.training import run_trial
from litune.trial import DirectTrial, Job, JobTrial, Outcome, TrialState
from litune.workers.child import execute

BASE = {
    "experiment": "digits_mlp",
    "seed": 3,
    "model": {"_target_": "litune.tasks.digits.MLP", "hidden": 16, "dropout": 0.3},
    "data": {"_target_": "litune.tasks.digits.Digits", "batch_size": 64},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    "trainer": {"max_epochs": 4, "accelerator": "cpu", "limit_train_batches": 6, "log_every_n_steps": 2},
    "logger": {"csv": {"_target_": "pytorch_lightning.loggers.CSVLogger"}},
    "objective": {"metric": "val_acc", "mode": "max"},
    "backend": {"name": "local"},
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


class Draws(pl.Callback):
    """A user's own callback: draw from each source of random numbers, and write down what came, a line each time."""

    def on_train_epoch_start(self, trainer, module):
        with Path(trainer.default_root_dir, "drawn.txt").open("a") as file:
            file.write(json.dumps([random.random(), float(np.random.random()), float(torch.rand(()))]) + "\n")

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == 0:
            self.on_train_epoch_start(trainer, module)


def config(**sections):
    merged = {**BASE, **sections}
    return configs.from_plain(merged)


def train(directory: Path, *, until: int | None = None, checkpoint: str | None = None, **sections) -> Outcome:
    trial = DirectTrial(directory)
    trial.until, trial.checkpoint = until, checkpoint
    return run_trial(config(**sections), trial)


def logged(directory: Path, name: str) -> list[float]:
    """Return the values of a column of the trial's CSV log."""
    with (directory / "csv" / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_the_same_seed_gives_the_same_curve_and_another_one_another(tmp_path: Path) -> None:
    first, again = train(tmp_path / "a"), train(tmp_path / "b")
    assert first.history == again.history
    assert first.history != train(tmp_path / "c", seed=4).history
    assert first.score == max(first.history.values())


def test_each_epoch_of_each_seed_has_random_numbers_of_its_own_from_every_source(tmp_path: Path) -> None:
    drawn = []
    for directory, seed in (("a", 3), ("again", 3), ("b", 4)):
        draws = {"draws": {"_target_": "tests.training.test_training.Draws"}}
        (tmp_path / directory).mkdir()
        train(tmp_path / directory, seed=seed, callbacks=draws, allow=["tests"], logger={})
        drawn.append([json.loads(line) for line in (tmp_path / directory / "drawn.txt").read_text().splitlines()])
    first, again, other = drawn
    assert first == again
    assert len(first) == len(other) == 8  # two times an epoch
    numbers = list(chain.from_iterable((*first, *other)))
    assert len(set(numbers)) == len(numbers)


def test_the_last_checkpoint_is_of_the_last_epoch_even_if_an_earlier_one_was_better(tmp_path: Path) -> None:
    objective = {"metric": "val_loss", "mode": "max"}  # of a loss that falls, the first is the best
    outcome = train(tmp_path, logger={}, objective=objective)
    assert outcome.score == outcome.history[1]
    assert Path(outcome.checkpoint).name == "epoch=0.ckpt"
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 3


@pytest.mark.parametrize(
    "scheduler",
    [
        {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": 4},
        {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.01},  # asks for the number of steps
    ],
)
def test_a_training_in_two_legs_equals_one_in_one_go(scheduler: dict, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", lr_scheduler=scheduler, logger={})
    first = train(tmp_path / "legs", until=2, lr_scheduler=scheduler, logger={})
    assert first.state is TrialState.PAUSED
    assert len(first.history) == 2
    last = str(tmp_path / "legs" / "checkpoints" / "last.ckpt")
    second = train(tmp_path / "legs", checkpoint=last, lr_scheduler=scheduler, logger={})
    assert second.state is TrialState.COMPLETE
    assert second.history == whole.history


@pytest.mark.parametrize(("reduce", "score"), [("best", max), ("last", lambda values: values[-1])])
def test_the_score_is_the_reduction_of_the_curve(reduce: str, score, tmp_path: Path) -> None:
    outcome = train(tmp_path, objective={"metric": "val_acc", "mode": "max", "reduce": reduce})
    assert outcome.score == score(list(outcome.history.values()))


def test_each_trial_leaves_its_logs_and_its_best_and_last_checkpoint(tmp_path: Path) -> None:
    outcome = train(tmp_path)
    assert logged(tmp_path, "val_acc") == list(outcome.history.values())
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    best = max(outcome.history, key=lambda step: outcome.history[step])
    assert names == {f"epoch={best - 1}.ckpt", "last.ckpt"}
    assert outcome.checkpoint == str(tmp_path / "checkpoints" / f"epoch={best - 1}.ckpt")
    torch.load(outcome.checkpoint, weights_only=True)


def test_one_cycle_takes_its_length_from_the_trainer(tmp_path: Path) -> None:
    scheduler = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.1}
    monitor = {"lr": {"_target_": "pytorch_lightning.callbacks.LearningRateMonitor"}}
    train(tmp_path, lr_scheduler=scheduler, callbacks=monitor)
    rates = logged(tmp_path, "lr-Adam")
    assert max(rates) > 0.09
    assert rates[-1] < 0.01


def test_reduce_on_plateau_watches_the_objective(tmp_path: Path) -> None:
    scheduler = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "patience": 0, "factor": 0.1}
    objective = {"metric": "val_loss", "mode": "min"}
    optimizer = {"_target_": "torch.optim.SGD", "lr": 1e-9}  # learns nothing, so the rate falls
    monitor = {"lr": {"_target_": "pytorch_lightning.callbacks.LearningRateMonitor"}}
    train(tmp_path, lr_scheduler=scheduler, objective=objective, optimizer=optimizer, callbacks=monitor, seed=5)
    rates = logged(tmp_path, "lr-SGD")
    assert rates[0] == 1e-9
    assert len(rates) == 4  # one an epoch


def test_a_criterion_is_handed_to_the_model(tmp_path: Path) -> None:
    margin = {"_target_": "torch.nn.MultiMarginLoss"}
    assert train(tmp_path / "a", criterion=margin).history != train(tmp_path / "b").history


def test_early_stopping_ends_a_trial_as_complete(tmp_path: Path) -> None:
    stop = {
        "_target_": "pytorch_lightning.callbacks.EarlyStopping",
        "monitor": "val_acc",
        "patience": 0,
        "min_delta": 1,
    }
    outcome = train(tmp_path, callbacks={"stop": {**stop, "mode": "max"}})
    assert outcome.state is TrialState.COMPLETE
    assert len(outcome.history) == 2


@pytest.mark.parametrize("least", [{}, {"min_epochs": 3}])
def test_a_prune_rule_stops_the_training_where_it_says(least: dict, tmp_path: Path) -> None:
    job = Job(
        number=0, params={}, config=BASE, directory=str(tmp_path), seed=3, threads=1, prune_below={1: 0.0, 2: 2.0}
    )
    trial = JobTrial(job, metric="val_acc", maximize=True, send=lambda _step, _metrics: None)
    outcome = run_trial(config(trainer={**BASE["trainer"], **least}), trial)
    assert outcome.state is TrialState.PRUNED
    assert len(outcome.history) == 2


def test_params_are_cast_and_the_environment_stays_out_of_the_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {**BASE, "model": {**BASE["model"], "hidden": "${oc.decode:${oc.env:LITUNE_TEST_WIDTH}}"}}
    monkeypatch.setenv("LITUNE_TEST_WIDTH", "24")
    job = Job(number=0, params={"data.batch_size": 128.0}, config=stored, directory=str(tmp_path), seed=3, threads=1)
    outcome = execute(job, lambda _message: None)
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    text = (tmp_path / "config.yaml").read_text()
    assert "${oc.env:LITUNE_TEST_WIDTH}" in text
    assert "batch_size: 128\n" in text


def test_a_model_checkpoint_without_a_directory_writes_into_its_trials_own(tmp_path):
    watched = {"monitor": "val_acc", "mode": "max"}
    keep = {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": None, **watched}
    outcome = train(tmp_path, callbacks={"keep": keep})
    assert Path(outcome.checkpoint).parent == tmp_path / "checkpoints" / "keep"
