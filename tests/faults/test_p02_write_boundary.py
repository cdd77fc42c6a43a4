"""P2: a kill at any write boundary leaves a readable ledger, and the next write works."""

import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from litune.study import ledger as ledgers
from litune.study import runs
from tests.faults.searches import NAME, PROJECT, TPE, command, environment, finish, processes, table, wait_for
from tests.faults.tallies import count, tally
from tests.faults.writer import check, opened

TRIALS = 3
CALLS = "fsync,fdatasync,pwrite64,ftruncate,unlink"
SEEN = re.compile(r"^(\d+)$", re.MULTILINE)
TIMEOUT = 200

Boundary = tuple[str, int]  # the n-th time that the process makes this system call


def traced(log: Path) -> list[str]:
    """Return what runs a command and notes its own calls, not those of its children."""
    return ["strace", "-qq", "-o", str(log), "-e", f"trace={CALLS}"]


def killing(at: Boundary) -> list[str]:
    """Return what runs a command and kills it when it enters the n-th call: strace counts each kind by itself."""
    call, number = at
    return ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]


def boundaries(log: Path) -> list[Boundary]:
    """Return every call in the log."""
    if not log.exists() or not log.read_text():
        pytest.skip("strace may not trace here")
    counts = Counter(re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE))
    return [(call, number + 1) for call, times in sorted(counts.items()) for number in range(times)]


def chosen(rng: random.Random, among: list[Boundary], most: int) -> list[Boundary]:
    return rng.sample(among, min(most, len(among)))


@pytest.fixture(autouse=True)
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace, which injects the kills, is not installed")


def write(run: Path, *before: str) -> tuple[int, int]:
    """Let a writer work in `run`; return its exit status and how many trials it said to be durable."""
    run.mkdir(exist_ok=True)
    words = [*before, sys.executable, "-m", "tests.faults.writer", str(run), str(TRIALS)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT)
    return done.returncode, max((int(number) + 1 for number in SEEN.findall(done.stdout)), default=0)


def test_a_writer_killed_at_any_write_leaves_what_was_durable(tmp_path: Path) -> None:
    assert write(tmp_path / "whole", *traced(tmp_path / "calls")) == (0, TRIALS)
    all_of_them = boundaries(tmp_path / "calls")
    assert len(all_of_them) > 50
    with tally("P2", "ledger") as one:
        for at in chosen(one.rng, all_of_them, count(4, 100)):
            with one.attempt():
                run = tmp_path / f"{at[0]}-{at[1]}"
                status, durable = write(run, *killing(at))
                assert status != 0, f"{at} was not reached"
                ledger = opened(ledgers.storage_url(run, None), "it")
                assert durable <= check(ledger) <= durable + 1
                ledger.close()
                assert write(run)[0] == 0
                assert check(opened(ledgers.storage_url(run, None), "it")) == TRIALS


def test_a_driver_killed_at_any_write_is_continued_to_the_same_table(
    undisturbed: list[tuple[str, ...]], tmp_path: Path
) -> None:
    finish([*traced(tmp_path / "calls"), *command(tmp_path / "whole", *TPE)])
    all_of_them = boundaries(tmp_path / "calls")
    with tally("P2", "optuna") as one:
        for at in chosen(one.rng, all_of_them, count(2, 100)):
            place = tmp_path / f"{at[0]}-{at[1]}"
            words = command(place, *TPE)
            done = subprocess.run(
                [*killing(at), *words], cwd=PROJECT, env=environment(place), capture_output=True, timeout=TIMEOUT
            )
            if done.returncode == 0:  # how often a driver commits is a matter of time: this one wrote less
                continue
            with one.attempt():
                assert wait_for(lambda at=place: not processes(at, 0), 10)
                if (place / NAME / "ledger.db").exists() and (place / NAME / "trials").exists():
                    readable(place / NAME)
                finish(words)
                assert table(place) == undisturbed


def readable(run: Path) -> None:
    """Read the run, unless its study was not made yet: then it has no trial."""
    if any((run / "trials").iterdir()):
        runs.read(run)[2].close()
