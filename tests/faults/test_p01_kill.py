"""P1: kill -9 of driver, warm parent or trial loses no finished trial, doubles none, and leaves no process behind."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1] / "backends" / "project"
LITUNE = [sys.executable, "-m", "litune"]
OVERRIDES = ["experiment=tiny", "name=it", "search.algorithm=tpe", "search.pruner=median", "search.trials=24"]


def command(runs: Path, *more: str) -> list[str]:
    return [*LITUNE, "search", "backend=optuna", f"search.runs={runs}", *OVERRIDES, *more]


def start(runs: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(runs, *more), cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def table(run: Path) -> list[tuple]:
    done = subprocess.run([*LITUNE, "trials", str(run), "--format", "json"], capture_output=True, text=True, check=True)
    keys = ("number", "params", "state", "score", "history")
    return [tuple(json.dumps(row[key]) for key in keys) for row in json.loads(done.stdout)]


def ended(runs: Path) -> int:
    """Return how many trials have ended, by the ledger's own file."""
    path = runs / "it" / "ledger.db"
    if not path.exists():
        return 0
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as ledger:
        try:
            return int(ledger.execute("select count(*) from trials where state != 'RUNNING'").fetchone()[0])
        except sqlite3.OperationalError:  # the tables are not made yet
            return 0


def processes(runs: Path) -> list[int]:
    """Return the living processes of the search: they all have the driver's command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line, status = (entry / "cmdline").read_bytes(), (entry / "stat").read_text()
            except OSError:
                continue
            if str(runs).encode() in line and status.rpartition(")")[2].split()[0] != "Z":
                found.append(int(entry.name))
    return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    runs = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(runs), cwd=PROJECT, check=True, capture_output=True, timeout=200)
    return table(runs / "it")


def test_a_killed_driver_is_continued_to_the_same_table(undisturbed: list[tuple], tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for kill in range(5):
        before = ended(tmp_path)
        driver = start(tmp_path)
        # the first kill at any time from the start on, the others once the search has moved on a little
        if kill:
            assert wait_for(lambda seen=before, one=driver: ended(tmp_path) > seen or one.poll() is not None, 120)
        time.sleep(rng.uniform(0, 0.6 if kill else 6))
        driver.kill()
        driver.wait()
        assert wait_for(lambda: not processes(tmp_path), 2), f"left behind: {processes(tmp_path)}"
    subprocess.run(command(tmp_path), cwd=PROJECT, check=True, capture_output=True, timeout=200)
    assert table(tmp_path / "it") == undisturbed


@pytest.mark.parametrize("victim", ["trial", "warm parent"])
def test_a_killed_worker_changes_nothing(victim: str, undisturbed: list[tuple], tmp_path: Path) -> None:
    driver = start(tmp_path)
    for goal in (2, 8):
        assert wait_for(lambda at=goal: ended(tmp_path) >= at, 120)
        family = [pid for pid in processes(tmp_path) if pid != driver.pid]
        parents = [pid for pid in family if parent_of(pid) == driver.pid]
        victims = parents if victim == "warm parent" else [pid for pid in family if pid not in parents]
        if victims:
            os.kill(victims[0], signal.SIGKILL)
    assert driver.wait(timeout=200) == 0
    assert not processes(tmp_path)
    assert table(tmp_path / "it") == undisturbed


def test_ctrl_c_stops_at_once_and_says_how_to_go_on(undisturbed: list[tuple], tmp_path: Path) -> None:
    driver = subprocess.Popen(command(tmp_path), cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert wait_for(lambda: ended(tmp_path) >= 3, 120)
    driver.send_signal(signal.SIGINT)
    output, _ = driver.communicate(timeout=10)
    assert driver.returncode == 130
    assert "continue with:" in output
    assert not processes(tmp_path)
    subprocess.run(command(tmp_path), cwd=PROJECT, check=True, capture_output=True, timeout=200)
    assert table(tmp_path / "it") == undisturbed


def test_a_second_driver_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    driver = start(tmp_path, "search.trials=2000")
    assert wait_for(lambda: ended(tmp_path) >= 1, 120)
    second = subprocess.run(command(tmp_path), cwd=PROJECT, capture_output=True, text=True, timeout=100)
    still_first = driver.poll() is None
    driver.kill()
    driver.wait()
    assert still_first
    assert second.returncode == 2
    assert f"pid {driver.pid}" in second.stderr
    assert "Traceback" not in second.stderr
