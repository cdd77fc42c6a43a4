"""A trial on several devices: two processes on the CPU, through the whole search."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from litune import checks
from litune.config import config as configs
from litune.config.compose import compose
from litune.study import opening
from litune.trial import Outcome, TrialState
from litune.workers import resources
from tests import preloaded
from tests.in_process import trials
from tests.preloaded import LITUNE

PROJECT = Path(__file__).parents[1] / "project"
TWO = ["experiment=own", "trainer.devices=2", "trainer.strategy=ddp", "callbacks.seen._target_=own.Witness"]


def litune(*words):
    return preloaded.run([*LITUNE, *map(str, words)], cwd=PROJECT)


def epochs_of(directory, trial):
    """Return rank -> epochs, as the user's callback saw them."""
    files = (directory / "trials" / f"{trial['number']:04d}").glob("rank-*.txt")
    return {int(file.stem[-1]): int(file.read_text()) for file in files}


@cache
def pruned(backend):
    """Return the run's directory and digest of a search with trials that are pruned in mid-run."""
    root = mkdtemp(prefix="litune-ranks-")
    words = [f"backend={backend}", "search.pruner=median", "search.trials=10", f"search.runs={root}", "name=run"]
    done = litune("search", *TWO, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(root, "run"), done.stdout.splitlines()[-1]


@pytest.mark.parametrize("backend", ["optuna", "ray", "nni"])
def test_a_trial_pruned_in_mid_run_stops_on_both_ranks(backend):
    if backend != "optuna":
        pytest.importorskip(backend)
    directory, digest = pruned(backend)
    table = trials(directory)
    assert {trial["state"] for trial in table} == {"COMPLETE", "PRUNED"}
    for trial in table:
        steps = len(trial["history"])
        assert (steps < 3) == (trial["state"] == "PRUNED")
        assert epochs_of(directory, trial) == {0: steps, 1: steps}
    assert digest == pruned("optuna")[1]


def test_what_ends_another_rank_ends_the_trial_and_is_its_failure(tmp_path):
    words = ["callbacks.fails._target_=own.FailsOnRank", "callbacks.fails.rank=1", "search.trials=1"]
    litune("search", *TWO, *words, f"search.runs={tmp_path}", "name=run")
    [trial] = trials(tmp_path / "run")
    assert trial["state"] == "FAILED"
    assert trial["failure"]["kind"] == "out_of_memory"
    assert "no memory left on rank 1" in trial["failure"]["message"]


@pytest.mark.parametrize("strategy", ["auto", "ddp_fork_find_unused_parameters_true"])
def test_a_single_training_runs_under_each_strategy(strategy, tmp_path):
    words = [f"trainer.strategy={strategy}", "trainer.max_epochs=1", f"search.runs={tmp_path}", "name=one"]
    done = litune("train", *TWO, *words)
    assert done.returncode == 0, done.stderr
    assert {file.name for file in (tmp_path / "one").glob("rank-*.txt")} == {"rank-0.txt", "rank-1.txt"}


def test_the_drivers_own_process_takes_one_device(tmp_path):
    done = litune("search", *TWO, "backend=local", f"search.runs={tmp_path}/runs")
    assert done.returncode == 2
    assert "trainer.devices: got 2; expected 1 with backend=local" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_gpus_are_shared_out_so_many_to_a_trial(tmp_path, monkeypatch):
    monkeypatch.setattr("litune.workers.resources.gpus", lambda: [*"01234"])
    monkeypatch.chdir(PROJECT)
    config = compose(["experiment=own", "trainer.devices=2", "trainer.accelerator=gpu", "search.parallel=null"]).config
    config = configs.replaced(config, {"search.runs": str(tmp_path), "name": "run"})
    with opening.opened(config, checks.load_space(config)) as study:
        assert study.parallel == 2
        assert [study.ask().devices for _ in range(2)] == [("0", "1"), ("2", "3")]
        study.tell(0, Outcome(state=TrialState.COMPLETE, score=0.5, history={1: 0.5}))
        assert study.ask().devices == ("0", "1")


@pytest.mark.parametrize(
    ("nodes", "visible", "found"),
    [
        ("3", None, ["0"]),
        ("13", None, ["0", "1"]),
        ("3", "0", ["0"]),
        ("3", "3", []),
        ("0123", "2, 1", ["2", "1"]),
        ("0123", "2,-1,1", ["2"]),
        ("", "0", []),
        ("0", "MIG-8cd9ae0f", ["MIG-8cd9ae0f"]),
        ("01", "GPU-5d1c,GPU-8cd9", ["GPU-5d1c", "GPU-8cd9"]),
    ],
)
def test_gpus_have_the_names_that_cuda_has_for_those_that_are_there(nodes, visible, found, monkeypatch):
    files = [Path(f"/dev/nvidia{node}") for node in nodes]
    monkeypatch.setattr(Path, "glob", lambda place, _pattern: iter(files if str(place) == "/dev" else []))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert resources.gpus() == found


ONE_OF_TWO = """\
import os

import litune
from litune.workers import resources

resources.gpus = lambda: ["4", "6"]


def seen(params, trial):
    return float(os.environ["CUDA_VISIBLE_DEVICES"])


if __name__ == "__main__":
    result = litune.search(seen, space={"x": [1, 2]}, trials=1, threads=1, trainer={"devices": [1]}, name="it")
    print(result.best.score)
"""


def test_a_list_of_gpus_is_shared_out_and_counted_from_0_in_the_trial(tmp_path, monkeypatch):
    (tmp_path / "one_of_two.py").write_text(ONE_OF_TWO)
    words = [sys.executable, "one_of_two.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "6.0"
    assert configs.load(tmp_path / "runs" / "it" / "trials" / "0000" / "config.yaml").trainer.devices == [0]
    monkeypatch.setattr("litune.workers.resources.gpus", lambda: ["4", "6"])
    for devices in ([0, 2], [2]):
        words = ["experiment=digits_mlp", "trainer.accelerator=auto", f"trainer.devices={devices}"]
        said = [str(problem) for problem in checks.check(compose(words).config, None)]
        assert said == [f"trainer.devices: got {devices}; expected indices of the GPUs that may be used, 0 to 1"]
