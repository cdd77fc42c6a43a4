"""P1: kill -9 of driver, trial or all at once loses no finished trial, doubles none, and leaves no process behind."""

import contextlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.searches import (
    TPE,
    begun,
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
from tests.in_process import search

BACKENDS = ("local", "optuna", "ray", "nni")  # a search on `local` is one process
A_SEARCH = 6  # kills of one search, half of them of all its processes; then it is left to end
PACE = 0.6  # seconds within which the next kill falls, once the search has moved on
STRIDE = 5  # trials that end before it at most
MOST = 2 * STRIDE * A_SEARCH  # trials: more than have begun when the last kill falls


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ...]]:
    """Return the table of the long search that nothing happened to."""
    runs = tmp_path_factory.mktemp("whole")
    search(runs, *TPE, f"search.trials={MOST}")
    return table(runs)


def kill_some(runs: Path, words: list[str], rng: random.Random, kills: int) -> None:
    """Kill the driver and the whole tree of its processes by turns."""
    for kill in range(kills):
        before = ended(runs)
        driver = start(words, env=environment(runs))
        # the first kill at any time from the start on, the others once the search has moved on a little
        if kill:
            assert wait_for(lambda seen=before, it=driver: ended(runs) > seen or it.poll() is not None, 120)
        wait_for(lambda most=before + STRIDE: ended(runs) >= most, rng.uniform(0, PACE if kill else 8))
        assert driver.poll() is None, f"the search ended by itself with status {driver.returncode}"
        if kill % 2:
            sweep(runs, driver.pid)
        driver.kill()
        driver.wait()
        assert wait_for(lambda it=driver: not processes(runs, it.pid), 4), left(runs, driver.pid)
        assert ended(runs) >= before


def left(runs: Path, driver: int) -> list[bytes]:
    """Return the command lines of the search's processes."""
    return [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes(runs, driver)]


def sweep(runs: Path, driver: int) -> None:
    """Kill every process of the search, whoever they are, in no order, as `kill -9 -1` would."""
    for pid in processes(runs, driver):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_killed_search_is_continued_to_the_same_table(
    backend: str, whole: list[tuple[str, ...]], tmp_path: Path
) -> None:
    if backend in ("ray", "nni"):
        pytest.importorskip(backend)
    with tally("P1", backend) as of_driver, tally("P1", f"{backend}, whole tree") as of_all:
        more = count(A_SEARCH, 100)
        while more > 0:
            kills, runs = min(more, A_SEARCH), tmp_path / f"left-{more:03}"
            with of_driver.attempt(kills - kills // 2), of_all.attempt(kills // 2):
                words = command(runs, *TPE, f"search.trials={MOST}", backend=backend)
                kill_some(runs, words, of_driver.rng, kills)
                trials = begun(runs) + 2  # what has begun, and the next ones
                finish(command(runs, *TPE, f"search.trials={trials}", backend=backend))
                assert table(runs) == whole[:trials]
            more -= kills


@contextlib.contextmanager
def held(trials: Callable[[], list[int]]) -> Iterator[None]:
    """Stop a trial at least meanwhile: the search does not move on, and has a child that waits for the next job."""
    stopped: set[int] = set()

    def stop() -> bool:
        for pid in trials():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.add(pid)
        return any(state_of(pid) == "T" for pid in stopped)

    assert wait_for(stop, 30), "no trial was seen to train"
    try:
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("victim", ["trial", "child that waits for a job", "warm parent"])
def test_a_killed_worker_changes_nothing(victim: str, undisturbed: list[tuple[str, ...]], tmp_path: Path) -> None:
    driver = start(command(tmp_path, *TPE))

    def children(training: bool) -> list[int]:
        parents = warm_parents()
        return [pid for pid in processes(tmp_path, driver.pid) if parent_of(pid) in parents and trains(pid) == training]

    def warm_parents() -> list[int]:
        return [pid for pid in processes(tmp_path, driver.pid) if parent_of(pid) == driver.pid]

    victims = {
        "trial": lambda: children(training=True),
        "child that waits for a job": lambda: children(training=False),
        "warm parent": warm_parents,
    }[victim]
    for goal in (2, 8):
        assert wait_for(lambda at=goal: ended(tmp_path) >= at, 120)
        with held(lambda: children(training=True)):
            assert wait_for(victims, 10)
            os.kill(victims()[0], signal.SIGKILL)
    assert driver.wait(timeout=200) == 0
    assert not processes(tmp_path, driver.pid)
    assert table(tmp_path) == undisturbed
