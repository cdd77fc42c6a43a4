"""The search that faults are injected into: a subprocess as a user starts it, what it left, and who belongs to it."""

import os
import sqlite3
import subprocess
import time
from pathlib import Path

from litune.backends.ray.watch import processes as of_ray
from tests import in_process, preloaded
from tests.preloaded import LITUNE, PROJECT

TPE = ["search.algorithm=tpe", "search.pruner=median", "search.trials=24"]
RANDOM = ["search.algorithm=random", "search.trials=12"]
NAME = "it"


def command(runs: Path, *overrides: str, backend: str = "optuna") -> list[str]:
    """Return the command of a search of the tiny experiment; it is continued by being given again."""
    words = [f"backend={backend}", "experiment=tiny", f"name={NAME}", f"search.runs={runs}"]
    return [*LITUNE, "search", *words, *overrides]


def start(words: list[str], **how: object) -> subprocess.Popen[str]:
    """Start the search with its output in the air, unless told otherwise."""
    defaults = {"cwd": PROJECT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "text": True}
    return subprocess.Popen(words, **{**defaults, **how})


def finish(words: list[str], **how: object) -> subprocess.CompletedProcess[str]:
    """Run the search to its end: from its very start if it is asked `how`, or behind another command."""
    if how or words[: len(LITUNE)] != LITUNE:
        done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False, **how)
    else:
        done = preloaded.run(words)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    return done


def table(runs: Path) -> list[tuple[str, ...]]:
    """Return the trial table, as text: what must be bit-equal."""
    return in_process.table(runs / NAME)


def ended(runs: Path) -> int:
    """Return how many trials have ended, by the ledger's own file."""
    return sum(state != "RUNNING" for state in _states(runs))


def begun(runs: Path) -> int:
    """Return how many trials have begun, by the ledger's own file."""
    return len(_states(runs))


def _states(runs: Path) -> list[str]:
    path = runs / NAME / "ledger.db"
    if not path.exists():
        return []
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as ledger:
        try:
            return [state for (state,) in ledger.execute("select state from trials")]
        except sqlite3.OperationalError:  # the tables are not made yet
            return []


def processes(runs: Path, driver: int) -> list[int]:
    """Return the living processes of the search, the driver too.

    They have the directory in their command line or environment; Ray overwrites both, but has files of its session.
    """
    found = set(of_ray(driver))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(runs).encode() in said:
                found.add(int(entry.name))
    return sorted(pid for pid in found if state_of(pid) not in ("Z", ""))


def trains(pid: int) -> bool:
    """Return whether the process writes to a trial's log: a child of the warm parent that waits for a job does not."""
    try:
        return Path(f"/proc/{pid}/fd/1").readlink().name == "log.txt"
    except OSError:
        return False


def state_of(pid: int) -> str:
    """Return the process's state as proc(5) has it: R, S, T, Z, ...; empty if it is gone."""
    return (_stat(pid) or [""])[0]


def parent_of(pid: int) -> int:
    """Return the process's parent; 0 if it is gone."""
    return int((_stat(pid) or ["", "0"])[1])


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def wait_for(condition, seconds: float) -> bool:
    """Return whether the condition held within so many seconds; those do not count in which it was stopped itself."""
    looked = time.monotonic()
    end = looked + seconds
    while not condition():
        now = time.monotonic()
        if now - looked > 2:
            end += now - looked
        if now > end:
            return False
        looked = now
        time.sleep(0.02)
    return True


def environment(runs: Path, **more: str) -> dict[str, str]:
    """Return an environment by which processes() knows whoever inherits it."""
    return {**os.environ, "LITUNE_FAULTS": str(runs), **more}
