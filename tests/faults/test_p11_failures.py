"""P11: failing trials never stop a search, but for the first ones that all fail alike; retries are counted."""

import os
import time
from pathlib import Path

import pytest

from tests import preloaded
from tests.faults.searches import RANDOM, begun, command, ended, environment, start, wait_for
from tests.faults.sessions import faulty
from tests.faults.tallies import tally
from tests.in_process import trials


def test_the_first_trials_that_fail_alike_end_the_search_with_the_one_cause(tmp_path: Path) -> None:
    with tally("P11", "optuna") as one, one.attempt():
        done = faulty(tmp_path, "error", "search.trials=20", "search.stop_after_equal_failures=3")
        assert done.returncode == 1
        assert "the first 3 trials failed alike" in done.stdout
        assert "the data has no column 'age'" in done.stdout
        assert "faulty.py" in done.stdout  # where in the user's code
        ended = [row for row in trials(tmp_path / "it") if row["state"] == "FAILED"]
        assert len(ended) in (3, 4)  # two run at once
        again = faulty(tmp_path, "error", "search.trials=20", "search.stop_after_equal_failures=2")
        assert again.returncode == 1
        assert "the first 2 trials failed alike" in again.stdout


def test_a_metric_that_the_first_trial_lacks_ends_the_search_and_the_nearest_is_told(tmp_path: Path) -> None:
    words = ["search.trials=9", "objective.metric=scoer"]
    done = faulty(tmp_path, "none", *words)
    assert done.returncode == 1
    assert "logged: score; did you mean score?" in done.stdout
    assert "stopped early: the first trial lacks a metric, as any other would" in done.stdout
    assert len(trials(tmp_path / "it")) < 5  # those that were under way
    faulty(tmp_path, "none", *words, "search.parallel=1")
    told = [row["number"] for row in trials(tmp_path / "it")]
    done = faulty(tmp_path, "none", *words, "search.parallel=1")  # tries one more: the code may be mended by now
    assert "stopped early: the first trial lacks a metric" in done.stdout
    assert [row["number"] for row in trials(tmp_path / "it")] == [*told, len(told)]
    again = faulty(tmp_path, "none", *words, "search.stop_after_equal_failures=0")
    assert "stopped early" not in again.stdout
    assert [row["failure"]["kind"] for row in trials(tmp_path / "it")] == ["no_metric"] * 9


STOP = "callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping"
KEEP = "callbacks.keep._target_=pytorch_lightning.callbacks.ModelCheckpoint"
PLATEAU = "lr_scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"
SGD = ["optimizer._target_=torch.optim.SGD", "optimizer.lr=0.01"]
OWN_SCHEDULER = """\
import tiny
import torch


class Net(tiny.Tiny):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "scoer"}}
"""
OWN = "monitor=scoer, which the model's own code gives,"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([STOP, "callbacks.stop.monitor=scoer"], "callbacks.stop.monitor=scoer"),
        ([KEEP, "callbacks.keep.monitor=scoer"], "callbacks.keep.monitor=scoer"),
        ([PLATEAU, *SGD, "lr_scheduler.monitor=scoer"], "lr_scheduler.monitor=scoer"),
        (["model._target_=monitoring.Net", "allow=[monitoring]"], OWN),
    ],
    ids=["EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau", "the model's own"],
)
def test_a_monitor_that_the_first_trial_lacks_ends_the_search_and_the_nearest_is_told(
    words: list[str], named: str, tmp_path: Path
) -> None:
    (tmp_path / "monitoring.py").write_text(OWN_SCHEDULER)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = preloaded.run(command(tmp_path, *RANDOM, "search.pruner=none", "search.parallel=1", *words), env=env)
    assert done.returncode == 1
    assert f"{named} was not logged; logged: born_among, score, threads; did you mean score?" in done.stdout
    assert "stopped early: the first trial lacks a metric" in done.stdout
    assert "Traceback" not in done.stdout
    assert [row["failure"]["kind"] for row in trials(tmp_path / "it")] == ["no_metric"]


def test_a_first_monitor_that_is_lacking_does_not_end_a_search_of_the_monitors(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"callbacks.stop.monitor": {"_type": "choice", "_value": ["scoer", "score"]}}')
    words = [f"search.space={space}", "search.trials=2", "search.algorithm=grid", "search.parallel=1", STOP]
    done = preloaded.run(command(tmp_path, *words))
    assert done.returncode == 0, done.stdout
    assert [row["state"] for row in trials(tmp_path / "it")] == ["FAILED", "COMPLETE"]


def test_a_first_trial_too_short_to_be_validated_does_not_end_a_search_of_the_length(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"trainer.max_epochs": {"_type": "choice", "_value": [1, 2]}}')
    words = [f"search.space={space}", "search.trials=2", "search.algorithm=grid", "search.parallel=1"]
    done = faulty(tmp_path, None, *words, "trainer.check_val_every_n_epoch=2")
    assert done.returncode == 0, done.stdout
    assert [row["state"] for row in trials(tmp_path / "it")] == ["FAILED", "COMPLETE"]


def test_failures_that_differ_or_come_later_do_not_end_the_search(tmp_path: Path) -> None:
    with tally("P11", "optuna") as one, one.attempt():
        space = tmp_path / "space.json"
        space.write_text('{"model.fault": {"_type": "choice", "_value": ["error", "none", "killed"]}}')
        words = [f"search.space={space}", "search.trials=12", "search.duplicates=run", "search.retries.killed=0"]
        done = faulty(tmp_path, None, *words, "search.stop_after_equal_failures=2")
        found = trials(tmp_path / "it")
        assert done.returncode == 0, done.stdout
        assert len(found) == 12
        assert {row["state"] for row in found} == {"COMPLETE", "FAILED"}


KINDS = {"terminated": "killed", "leaves": "error"}  # of the faults that are not called by their class


@pytest.mark.parametrize(
    ("fault", "words", "attempts"),
    [
        ("killed", [], 3),
        ("killed", ["search.retries.killed=0"], 1),
        ("terminated", ["search.retries.killed=1"], 2),
        ("leaves", [], 1),
        ("error", ["search.retries.error=1"], 2),
        ("out_of_memory", [], 1),
    ],
)
def test_retries_are_by_class_and_counted(fault: str, words: list[str], attempts: int, tmp_path: Path) -> None:
    with tally("P11", "optuna") as one, one.attempt():
        faulty(tmp_path, fault, "search.trials=1", *words)
        [row] = trials(tmp_path / "it")
        assert row["failure"]["kind"] == KINDS.get(fault, fault)
        assert sum(row["retried"].values()) == attempts - 1
        assert (f"in each of {attempts} attempts" in row["failure"]["message"]) == (attempts > 1)
        assert (tmp_path / "it/trials/0000/log.txt").read_text().count(f"fault: {fault}\n") == attempts


def test_out_of_memory_names_the_batch_size(tmp_path: Path) -> None:
    done = faulty(tmp_path, "out_of_memory", "search.trials=1", "data.batch_size=8")
    assert "CUDA out of memory" in done.stdout
    assert "data.batch_size=8" in done.stdout


def test_more_memory_than_a_trial_may_take_is_out_of_memory(tmp_path: Path) -> None:
    faulty(tmp_path, "greedy", "search.trials=1", "search.memory_gb=1")
    [row] = trials(tmp_path / "it")
    assert row["failure"]["kind"] == "out_of_memory", row["failure"]["message"]


CROWDED = """\
import errno
import itertools
import os
import time
from pathlib import Path

import tiny

forked, fork = itertools.count(), os.fork


def crowded():
    if Path(os.environ["FULL"]).exists() and next(forked):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()


os.fork = crowded


class Data(tiny.Data):
    pass
"""


@pytest.mark.parametrize("failing", [1, 0], ids=["it fails", "it waits"])
def test_a_trial_that_there_is_no_room_for_waits_or_fails_and_the_others_go_on(failing: int, tmp_path: Path) -> None:
    full, hold = tmp_path / "full", tmp_path / "hold"
    full.touch()  # while it is there, there is room for one process
    hold.write_text("0")
    (tmp_path / "crowded.py").write_text(CROWDED)
    words = [*RANDOM, "search.trials=4", "search.parallel=2", "search.retries.lost=0", f"model.hold={hold}"]
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    driver = start(
        command(tmp_path, *words, "data._target_=crowded.Data", "allow=[crowded]"),
        env=environment(tmp_path, FULL=str(full), PYTHONPATH=paths),
    )
    with tally("P11", "optuna") as one, one.attempt():
        assert wait_for(lambda: begun(tmp_path) >= 2 and ended(tmp_path) >= failing, 120)
        time.sleep(1)  # the second trial is in the ledger before its process is asked for
        full.unlink()
        hold.unlink()
        assert driver.wait(timeout=120) == 0
        table = trials(tmp_path / "it")
        assert [row["number"] for row in table if row["state"] == "FAILED"] == [1][:failing]
        assert table[0]["attempt"] == 0
        if failing:
            assert table[1]["failure"]["kind"] == "lost"
            assert "no process could be forked for it in 5 s: Resource temp" in table[1]["failure"]["message"]
