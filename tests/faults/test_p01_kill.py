"""P1: kill -9 of driver, warm parent or trial loses no finished trial, doubles none, and leaves no process behind."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.faults.searches import (
    TPE,
    command,
    ended,
    environment,
    finish,
    parent_of,
    processes,
    start,
    table,
    wait_for,
)
from tests.faults.tallies import Tally, count, tally

PACE = 0.6  # seconds within which the next kill falls, once the search has moved on
KILLS = {"optuna": (10, 100), "ray": (2, 100), "nni": (3, 100)}  # small and full counts
A_SEARCH = 5  # kills of one search; then it is left to end


def kill_some(runs: Path, words: list[str], one: Tally, kills: int) -> None:
    for kill in range(kills):
        before = ended(runs)
        driver = start(words, env=environment(runs))
        # the first kill at any time from the start on, the others once the search has moved on a little
        if kill:
            assert wait_for(lambda seen=before, it=driver: ended(runs) > seen or it.poll() is not None, 120)
        time.sleep(one.rng.uniform(0, PACE if kill else 8))
        driver.kill()
        driver.wait()
        assert wait_for(lambda it=driver: not processes(runs, it.pid), 4), f"left: {processes(runs, driver.pid)}"
        assert ended(runs) >= before


def test_a_killed_driver_is_continued_to_the_same_table(
    backend: str, undisturbed: list[tuple[str, ...]], tmp_path: Path
) -> None:
    words = command(tmp_path, *TPE, backend=backend)
    with tally("P1", backend) as one:
        left = count(*KILLS[backend])
        while left > 0:
            kills = min(left, A_SEARCH)
            with one.attempt(kills):
                kill_some(tmp_path, words, one, kills)
                finish(words)
                assert table(tmp_path) == undisturbed
            shutil.rmtree(tmp_path / "it", ignore_errors=True)
            left -= kills


@pytest.mark.parametrize("victim", ["trial", "warm parent"])
def test_a_killed_worker_changes_nothing(victim: str, undisturbed: list[tuple[str, ...]], tmp_path: Path) -> None:
    driver = start(command(tmp_path, *TPE))
    for goal in (2, 8):
        assert wait_for(lambda at=goal: ended(tmp_path) >= at, 120)
        family = [pid for pid in processes(tmp_path, driver.pid) if pid != driver.pid]
        parents = [pid for pid in family if parent_of(pid) == driver.pid]
        victims = parents if victim == "warm parent" else [pid for pid in family if pid not in parents]
        if victims:
            os.kill(victims[0], signal.SIGKILL)
    assert driver.wait(timeout=200) == 0
    assert not processes(tmp_path, driver.pid)
    assert table(tmp_path) == undisturbed
