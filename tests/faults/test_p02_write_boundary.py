"""P2: a kill at any write boundary leaves a readable ledger, in which every trial that was durable is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from litune import ledger as ledgers
from tests.faults.tallies import count, tally
from tests.faults.writer import check, opened

TRIALS = 3
CALLS = "fsync,fdatasync,pwrite64,ftruncate,unlink"
WRITER = [sys.executable, "-m", "tests.faults.writer"]
SEEN = re.compile(r"^(\d+)$", re.MULTILINE)


def write(run: Path, *before: str) -> tuple[int, int]:
    """Let a writer work in `run`; return its exit status and how many trials it said to be durable."""
    run.mkdir(exist_ok=True)
    done = subprocess.run([*before, *WRITER, str(run), str(TRIALS)], capture_output=True, text=True, timeout=100)
    return done.returncode, max((int(number) + 1 for number in SEEN.findall(done.stdout)), default=0)


def kill_at(boundary: int) -> list[str]:
    inject = f"inject={CALLS}:signal=KILL:when={boundary}"
    return ["strace", "-qq", "-f", "-o", "/dev/null", "-e", f"trace={CALLS}", "-e", inject]


def test_a_kill_at_any_write_boundary_leaves_what_was_durable(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace, which injects the kills, is not installed")
    log = tmp_path / "calls"
    write(tmp_path / "whole", "strace", "-qq", "-f", "-o", str(log), "-e", f"trace={CALLS}")
    if not log.exists() or not log.read_text():
        pytest.skip("strace may not trace here")
    boundaries = len(re.findall(rf"\b({CALLS.replace(',', '|')})\(", log.read_text()))
    assert boundaries > 50
    with tally("P2", "ledger") as one:
        chosen = sorted(one.rng.sample(range(1, boundaries + 1), min(count(6, 100), boundaries)))
        for boundary in chosen:
            with one.attempt():
                run = tmp_path / f"at-{boundary}"
                status, durable = write(run, *kill_at(boundary))
                assert status != 0, f"boundary {boundary} of {boundaries} was not reached"
                ledger = opened(ledgers.storage_url(run, None), "it")
                assert durable <= check(ledger) <= durable + 1
                ledger.close()
                assert write(run) == (0, TRIALS)  # the next write works
                assert check(opened(ledgers.storage_url(run, None), "it")) == TRIALS
