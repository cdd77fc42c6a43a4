"""P14: of two drivers of one run the second is refused with the first one's pid and host, or follows it."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests import preloaded
from tests.faults.searches import ended, wait_for
from tests.faults.sessions import command, left_behind, start
from tests.faults.tallies import count, tally
from tests.in_process import trials
from tests.preloaded import LITUNE

pytestmark = pytest.mark.usefixtures("adopted")

TRIALS = 24


def run(runs: Path, *more: str, backend: str = "optuna") -> subprocess.CompletedProcess[str]:
    return preloaded.run(command(runs, *more, backend=backend), timeout=200)


def test_a_second_driver_is_refused_and_joins_where_it_may(tmp_path: Path) -> None:
    driver = start(tmp_path, "search.trials=100000")
    try:
        assert wait_for(lambda: ended(tmp_path) >= 1, 150)
        for backend in ("optuna", "nni"):
            second = run(tmp_path, backend=backend)
            assert second.returncode == 2
            assert f"pid {driver.pid} on {socket.gethostname()}" in second.stderr
            assert "Traceback" not in second.stderr
        follower = start(tmp_path, "--join", output=tmp_path / "follower")
        assert wait_for(lambda: "trial 0 COMPLETE" in (tmp_path / "follower").read_text(), 100)
        doctor = preloaded.run([*LITUNE, "doctor", str(tmp_path / "it")], timeout=100)
        assert doctor.returncode == 0
        assert f"pid {driver.pid}" in doctor.stdout
    finally:
        driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=60) == 130
    assert follower.wait(timeout=60) == 1
    assert "its driver has ended" in (tmp_path / "follower").read_text()
    assert not left_behind()


def test_of_those_started_together_one_searches_and_the_others_follow_it(tmp_path: Path) -> None:
    with tally("P14", "optuna") as one:
        for attempt in range(count(1, 20)):
            with one.attempt():
                runs = tmp_path / str(attempt)
                runs.mkdir()
                outputs = [runs / f"output{number}" for number in range(3)]
                started = [start(runs, f"search.trials={TRIALS}", "--join", output=output) for output in outputs]
                codes = [driver.wait(timeout=200) for driver in started]
                assert codes == [0, 0, 0], [output.read_text() for output in outputs]
                assert all("see it: litune report" in output.read_text() for output in outputs)
                digests = {output.read_text().strip().splitlines()[-1] for output in outputs}
                assert len(digests) == 1
                assert digests.pop().startswith("digest ")
                assert len(trials(runs / "it")) == TRIALS


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_detached_search_outlives_the_command_and_its_session(number: int, tmp_path: Path) -> None:
    done = run(tmp_path, "search.trials=100000", "--detach")
    assert done.returncode == 0, done.stderr
    pid = int(done.stdout.partition("by process ")[2].partition(";")[0])
    assert f"kill {pid}" in done.stdout
    log = tmp_path / "it" / "search.log"
    try:
        assert wait_for(lambda: ended(tmp_path) >= 1, 150), log.read_text()
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, number)
    assert wait_for(lambda: "continue with:" in log.read_text(), 60)
    os.waitpid(pid, 0)  # its parent is gone, and this process has adopted it
    assert log.stat().st_mode & 0o777 == 0o600
    assert not left_behind()
