"""P5: a worker that was stopped, and whose trial was run again or ended meanwhile, writes nothing when it goes on."""

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

import torch

import litune
from tests.faults.searches import (
    NAME,
    TPE,
    command,
    ended,
    environment,
    finish,
    parent_of,
    processes,
    start,
    state_of,
    table,
    trains,
    wait_for,
)
from tests.faults.tallies import count, tally


def family_of(runs: Path, driver: int) -> tuple[int, list[int]]:
    """Return the warm parent, and its trials that run now: one at least."""
    trials: list[int] = []

    def look() -> bool:
        family = [pid for pid in processes(runs, driver) if pid != driver]
        parents = [pid for pid in family if parent_of(pid) == driver]
        trials[:] = [*parents, *(pid for pid in family if parent_of(pid) in parents and trains(pid))]
        return len(parents) == 1 and len(trials) > 1

    assert wait_for(look, 60)
    return trials[0], trials[1:]


def stop_one(runs: Path, driver: int, *, training: bool = True) -> int:
    """Stop a trial, or the child that waits for a job, and return it."""
    for _ in range(50):
        parent, _ = family_of(runs, driver)
        for pid in [pid for pid in processes(runs, driver) if parent_of(pid) == parent and trains(pid) == training]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                if wait_for(lambda one=pid: state_of(one) == "T", 0.5) and trains(pid) == training:
                    return pid
                os.kill(pid, signal.SIGCONT)
    raise AssertionError("whoever was to be stopped had ended before, or got a job")


def written(runs: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (runs / NAME).glob("ledger.db*")}


def test_a_stopped_worker_changes_nothing_when_it_goes_on(undisturbed: list[tuple[str, ...]], tmp_path: Path) -> None:
    with tally("P5", "optuna") as one:
        for attempt in range(count(1, 20)):
            with one.attempt():
                runs = tmp_path / str(attempt)
                words = command(runs, *TPE)
                driver = start(words, env=environment(runs))
                goal = one.rng.randrange(1, 12)
                assert wait_for(lambda at=runs, least=goal: ended(at) >= least, 120)
                parent, trials = family_of(runs, driver.pid)
                for pid in (parent, *trials):  # the warm parent first: it would see its children off
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                assert wait_for(lambda everyone=(parent, *trials): all(state_of(it) in "TZ" for it in everyone), 20)
                stopped = [pid for pid in trials if state_of(pid) == "T"]
                driver.kill()
                driver.wait()
                finish(words)
                before = written(runs)
                for pid in (*stopped, parent):  # the trials first, while nobody sees to them
                    with contextlib.suppress(ProcessLookupError):  # Linux continues a group that was orphaned
                        os.kill(pid, signal.SIGCONT)
                    assert wait_for(lambda it=pid: state_of(it) in ("Z", ""), 20)
                assert not processes(runs, driver.pid)
                assert written(runs) == before
                assert table(runs) == undisturbed
                kept = litune.SearchResult(runs / NAME).best.checkpoint
                assert torch.load(kept, weights_only=True)["state_dict"]


def test_a_child_stopped_while_it_waits_for_a_job_gets_none(undisturbed: list[tuple[str, ...]], tmp_path: Path) -> None:
    driver = start(command(tmp_path, *TPE), env=environment(tmp_path))
    assert wait_for(lambda: ended(tmp_path) >= 2, 120)
    stopped = stop_one(tmp_path, driver.pid, training=False)
    assert driver.wait(timeout=200) == 0
    assert state_of(stopped) == ""
    assert table(tmp_path) == undisturbed


def test_a_worker_stopped_beyond_its_deadline_is_ended_and_the_search_goes_on(tmp_path: Path) -> None:
    driver = start(command(tmp_path, *TPE, "search.trial_timeout=5"), env=environment(tmp_path))
    assert wait_for(lambda: ended(tmp_path) >= 1, 120)
    stopped = stop_one(tmp_path, driver.pid)
    assert driver.wait(timeout=200) == 0
    assert state_of(stopped) == ""
    assert Counter(row[2] for row in table(tmp_path))['"FAILED"'] == 1
    assert len(table(tmp_path)) == 24
