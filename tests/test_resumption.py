"""A trial that was killed goes on from what it left, and ends as if nothing had happened, to the last bit."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from litune.trial import Job, Outcome, TrialState
from litune.workers.child import execute

EPOCHS = 5
CONFIG = {
    "experiment": "digits_mlp",
    "seed": 3,
    "model": {"_target_": "litune.tasks.digits.MLP", "hidden": 16, "dropout": 0.3},
    "data": {"_target_": "litune.tasks.digits.Digits", "batch_size": 64},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    "lr_scheduler": {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.01},
    "trainer": {"max_epochs": EPOCHS, "accelerator": "cpu", "limit_train_batches": 6, "log_every_n_steps": 2},
    "logger": {"csv": {"_target_": "pytorch_lightning.loggers.CSVLogger"}},
    "objective": {"metric": "val_acc", "mode": "max", "reduce": "last"},
    "backend": {"name": "local"},
}
KILLED_IN_EPOCH_3 = """
import json, os, signal, sys
from litune.tasks.digits import MLP
from litune.trial import Job
from litune.workers.child import execute

def on_train_batch_start(self, batch, batch_idx):
    if self.current_epoch == 3 and batch_idx == 2:
        os.kill(os.getpid(), signal.SIGKILL)

MLP.on_train_batch_start = on_train_batch_start
execute(Job.from_json(json.loads(sys.argv[1])), lambda message: None)
"""

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:Experiment logs directory .* exists and is not empty"),
]


def job(directory: Path, *, attempt: int = 0, **changes) -> Job:
    config = {**CONFIG, **changes.pop("config", {})}
    job = Job(number=0, params={}, config=config, directory=str(directory), seed=3, threads=1, attempt=attempt)
    return Job.from_json({**job.to_json(), **changes})


def run(job: Job) -> tuple[Outcome, list[int]]:
    """Return how the trial ended, and the steps that it reported in this attempt."""
    reported: list[int] = []
    outcome = execute(job, lambda message: reported.append(message["step"]))
    assert outcome.failure is None, outcome.failure
    return outcome, reported


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Outcome:
    return run(job(tmp_path_factory.mktemp("undisturbed")))[0]


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> tuple[Path, Path]:
    """Return the directory of a trial that was killed in the middle of its fourth epoch, and a copy of it."""
    directory = tmp_path_factory.mktemp("killed") / "trial"
    words = [sys.executable, "-c", KILLED_IN_EPOCH_3, json.dumps(job(directory).to_json())]
    assert subprocess.run(words, capture_output=True).returncode == -signal.SIGKILL
    return directory, Path(shutil.copytree(directory, directory.with_name("copy")))


@pytest.fixture
def left(killed) -> Path:
    """Return the directory as the kill left it."""
    directory, copy = killed
    shutil.rmtree(directory)
    return Path(shutil.copytree(copy, directory))


@pytest.mark.parametrize("damaged", [[], ["last.ckpt"], ["last.ckpt", "best"]])
def test_a_killed_trial_goes_on_from_its_newest_whole_checkpoint(left, undisturbed, damaged, capsys):
    folder = left / "checkpoints"
    best = next(folder.glob("epoch=*.ckpt"))
    for name in damaged:
        path = best if name == "best" else folder / name
        path.write_bytes(path.read_bytes()[:-1000])
    outcome, reported = run(job(left, attempt=1))
    assert outcome.history == undisturbed.history
    assert outcome.score == undisturbed.score
    epoch = {0: 2, 1: int(best.stem.removeprefix("epoch=")), 2: -1}[len(damaged)]
    assert reported == list(range(epoch + 2, EPOCHS + 1))
    said = capsys.readouterr().out
    assert said.count("cannot be continued from") == len(damaged)
    assert ("starting over" in said) == (len(damaged) == 2)
    assert (f"continuing after epoch {epoch}" in said) == (len(damaged) < 2)


def test_a_first_attempt_takes_nothing_from_the_directory(left, undisturbed):
    outcome, reported = run(job(left))
    assert reported == [1, 2, 3, 4, 5]
    assert outcome.history == undisturbed.history


@pytest.mark.parametrize(
    ("ending", "state", "steps"),
    [
        ({"prune_below": [[2, 2.0]]}, TrialState.PRUNED, 2),
        (
            {
                "config": {
                    "callbacks": {
                        "stop": {
                            "_target_": "pytorch_lightning.callbacks.EarlyStopping",
                            "monitor": "val_acc",
                            "mode": "min",
                            "patience": 1,
                        }
                    }
                }
            },
            TrialState.COMPLETE,
            2,
        ),
        ({}, TrialState.COMPLETE, EPOCHS),
    ],
    ids=["pruned", "stopped early", "complete"],
)
def test_a_trial_killed_after_its_end_but_before_it_said_so_ends_the_same_way(ending, state, steps, tmp_path):
    first, _ = run(job(tmp_path, **ending))
    assert (first.state, len(first.history)) == (state, steps)
    again, reported = run(job(tmp_path, attempt=1, **ending))
    assert (again.state, again.history, again.score) == (first.state, first.history, first.score)
    assert reported == []
