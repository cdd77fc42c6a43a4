"""P9: Ctrl-C, SIGTERM and a hang-up end a search in order, at any time, a second one at once; nothing is left."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.searches import PROJECT, ended, finish, wait_for
from tests.faults.sessions import FAULTY, command, faulty, left_behind, start
from tests.faults.tallies import count, tally
from tests.in_process import table, trials
from tests.preloaded import LITUNE

pytestmark = pytest.mark.usefixtures("adopted")

INTERRUPTED = 130
AT_START = {  # what a search gets while it starts
    "local": (signal.SIGTERM, signal.SIGHUP),
    "optuna": (signal.SIGTERM, signal.SIGINT),
    "ray": (signal.SIGTERM, signal.SIGHUP),
    "nni": (signal.SIGTERM, signal.SIGINT),
}


def states(run: Path) -> set[str]:
    return {row["state"] for row in trials(run)}


@pytest.mark.parametrize(
    ("backend", "number", "to_group"),
    [
        ("optuna", signal.SIGINT, True),
        ("optuna", signal.SIGHUP, True),
        ("local", signal.SIGTERM, False),
        ("ray", signal.SIGINT, True),
        ("nni", signal.SIGTERM, True),
    ],
)
def test_a_search_stops_in_order(backend: str, number: int, to_group: bool, tmp_path: Path) -> None:
    with tally("P9", backend) as one, one.attempt():
        output = tmp_path / "output"
        driver = start(tmp_path, "search.trials=2000", backend=backend, output=output)
        assert wait_for(lambda: ended(tmp_path) >= 2, 150)
        (os.killpg if to_group else os.kill)(driver.pid, number)
        assert driver.wait(timeout=60) == INTERRUPTED, output.read_text()
        assert not left_behind()
        assert "continue with: python -m litune search" in output.read_text()
        assert "Traceback" not in output.read_text()
        assert "RUNNING" not in states(tmp_path / "it")
        assert "FAILED" not in states(tmp_path / "it")


def test_a_training_that_is_interrupted_is_begun_again(tmp_path: Path) -> None:
    words = [*LITUNE, "train", "experiment=faulty", "model.fault=asleep", "name=it", f"search.runs={tmp_path}"]
    with subprocess.Popen(words, cwd=FAULTY, stderr=subprocess.PIPE, text=True, start_new_session=True) as driver:
        assert wait_for(lambda: (tmp_path / "it" / "csv").exists(), 100)
        driver.send_signal(signal.SIGINT)
        _, said = driver.communicate(timeout=60)
    assert driver.returncode == INTERRUPTED
    assert "interrupted; train again with: python -m litune train experiment=faulty" in said


def test_a_search_whose_output_nobody_reads_is_set_aside_before_it_is_ended(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    with tally("P9", "optuna") as one, one.attempt(), full_pipe() as pipe, errors.open("wb") as file:
        words = command(tmp_path, "search.trials=2000", "search.parallel=2")
        driver = subprocess.Popen(words, cwd=PROJECT, stdout=pipe, stderr=file, start_new_session=True)
        assert wait_for(lambda: ended(tmp_path) >= 1, 150)
        os.killpg(driver.pid, signal.SIGHUP)
        assert driver.wait(timeout=60) == INTERRUPTED, errors.read_text()
        assert not left_behind()
        assert "continue with: python -m litune search" in errors.read_text()
        assert states(tmp_path / "it") == {"COMPLETE", "PAUSED"}


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """Give the end to write to of a pipe that takes nothing more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b" ")
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("backend", AT_START)
def test_a_search_stops_while_it_starts(backend: str, tmp_path: Path) -> None:
    with tally("P9", backend) as one:
        for attempt in range(count(2, 20)):
            with one.attempt():
                number = AT_START[backend][attempt % 2]
                stop_at_a_random_time(backend, number, one.rng, tmp_path / str(attempt))


def stop_at_a_random_time(backend: str, number: int, rng: random.Random, runs: Path) -> None:
    runs.mkdir()
    output = runs / "output"
    driver = start(runs, "search.trials=2000", backend=backend, output=output)
    assert wait_for(lambda: _catches(driver.pid, signal.SIGHUP), 60)  # before, nothing was started
    time.sleep(rng.uniform(0, 5))
    os.killpg(driver.pid, number)
    assert driver.wait(timeout=60) == INTERRUPTED, output.read_text()
    assert not left_behind()
    assert "continue with: python -m litune search" in output.read_text()
    assert "Traceback" not in output.read_text()


def _catches(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize(
    ("word", "times"), [("model.fault=stubborn", 1), ("model.fault=stubborn", 2), ("model._target_=evaluating.Net", 1)]
)
def test_code_that_has_python_miss_the_interruption_is_ended_all_the_same(
    word: str, times: int, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    words = ["experiment=faulty", word, "search.trials=1"]
    driver = start(tmp_path, *words, backend="local", project=FAULTY, output=output)
    assert wait_for(lambda: {"stubborn", "evaluating"} & set(output.read_text().splitlines()), 150)
    for _ in range(times):
        driver.send_signal(signal.SIGINT)
        time.sleep(0.5)
    assert driver.wait(timeout=60) == INTERRUPTED
    assert "continue with:" in output.read_text()


def test_a_child_that_a_trial_has_forked_and_ended_interrupts_nothing(tmp_path: Path) -> None:
    done = faulty(tmp_path, "forks", "search.trials=2", backend="local")
    assert done.returncode == 0, done.stderr
    assert states(tmp_path / "it") == {"COMPLETE"}


def test_an_interrupted_search_ends_in_the_same_table(tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for runs in (undisturbed, disturbed):
        runs.mkdir()
    driver = start(disturbed)
    for goal in (3, 9):
        assert wait_for(lambda least=goal: ended(disturbed) >= least, 150)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(timeout=60) == INTERRUPTED
        driver = start(disturbed)
    assert driver.wait(timeout=200) == 0
    finish(command(undisturbed))
    assert table(disturbed / "it") == table(undisturbed / "it")


MANY_FILES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
kept = [os.dup(0) for _ in range(1100)]
from litune.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_process_with_thousands_of_open_files_is_interrupted_all_the_same(tmp_path: Path) -> None:
    """As a notebook's may have; select(2) knows no descriptor above 1,023."""
    output = tmp_path / "output"
    words = command(tmp_path, "search.trials=2000", backend="local")
    words = [words[0], "-c", MANY_FILES, *words[3:]]
    with output.open("wb") as file:
        driver = subprocess.Popen(words, cwd=PROJECT, stdout=file, stderr=file, start_new_session=True)
    assert wait_for(lambda: ended(tmp_path) >= 1, 150)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=60) == INTERRUPTED, output.read_text()
    assert "Traceback" not in output.read_text()


AT_FORK = """
import os, signal, sys
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGINT))
from litune import interrupts
def forking():
    if (child := os.fork()) == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(interrupts.stoppable(forking))
"""


def test_a_child_that_is_interrupted_before_its_first_line_says_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", AT_FORK], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (7, "")


AT_EACH_LINE = """
import os, signal, sys
from litune import interrupts

def stopped_at(line):
    seen = signalled = 0
    def trace(frame, event, _):
        nonlocal seen, signalled
        if frame.f_code.co_filename != interrupts.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == line and callable(signal.getsignal(signal.SIGHUP)):
                signalled = 1
                signal.raise_signal(signal.SIGHUP)
        return trace
    sys.settrace(trace)
    code = interrupts.stoppable(lambda: 0)
    sys.settrace(None)
    assert code == (interrupts.INTERRUPTED if signalled else 0), (line, code)
    return signalled, seen >= line

tried, more, line = 0, True, 0
while more:
    line += 1
    if (child := os.fork()) == 0:
        signalled, more = stopped_at(line)
        os._exit(signalled + 2 * more)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1, 2, 3), (line, status)
    tried, more = tried + status % 2, status >= 2
print(tried)
"""


def test_a_command_that_is_interrupted_at_any_line_before_its_own_first_one_stops_in_order() -> None:
    done = subprocess.run([sys.executable, "-c", AT_EACH_LINE], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert int(done.stdout) > 10
