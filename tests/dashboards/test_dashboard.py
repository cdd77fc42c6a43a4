"""`litune dashboard` over a real run: its pages in a real browser, and what they refuse."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from litune import cli
from litune.processes import descendants
from tests import preloaded
from tests.preloaded import LITUNE
from tests.security.listening import is_loopback, listeners

TRIALS = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    words = ["search", "experiment=digits_mlp", "name=seen", f"search.runs={root}", f"search.trials={TRIALS}"]
    done = preloaded.run([*LITUNE, *words], cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    return root / "seen"


class Served:
    """The command at work, and the pages that it printed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.urls: dict[str, str] = {}
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                break
            name, url = line.split()
            self.urls[name] = url

    def ask(
        self, name: str, path: str, *, method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[int, str]:
        """Return the status, and the body or the cookie that it sets."""
        connection = HTTPConnection(urlsplit(self.urls[name]).netloc, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.headers["Set-Cookie"] or body

    def cookie(self, name: str) -> str:
        """Open the printed address as a browser does, and return the cookie."""
        parts = urlsplit(self.urls[name])
        status, cookie = self.ask(name, f"{parts.path}?{parts.query}")
        assert status == 303
        return cookie.partition(";")[0]


@pytest.fixture(scope="module")
def served(run: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "litune", "dashboard", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield Served(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def rendered(url: str, profile: Path, *, width: int = 1280) -> str:
    """Return the page as Chromium has built it after its scripts had their time."""
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--window-size={width},900"]
    words += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    words += [f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", url]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("name", ["optuna-dashboard", "TensorBoard"])
def test_a_page_is_shown_to_the_printed_address_and_to_nobody_else(served: Served, name: str) -> None:
    cookie, path = served.cookie(name), urlsplit(served.urls[name]).path
    assert served.ask(name, path, Cookie=cookie)[0] == 200
    assert served.ask(name, path)[0] == 403
    assert served.ask(name, path, Cookie=cookie, Host="evil.example")[0] == 403
    assert served.ask(name, path, Cookie=cookie, Origin="http://evil.example")[0] == 403


def test_the_pages_listen_on_the_loopback_address_only(served: Served) -> None:
    family = [served.process.pid, *(process.pid for process in descendants(served.process.pid))]
    found = listeners(family)
    assert len(found) >= len(served.urls) > 1
    assert [place for place in found if not is_loopback(place)] == []


def test_a_study_cannot_be_deleted(served: Served, run: Path) -> None:
    cookie = served.cookie("optuna-dashboard")
    assert served.ask("optuna-dashboard", "/api/studies/1", method="DELETE", Cookie=cookie)[0] == 405
    with sqlite3.connect(run / "ledger.db") as ledger:
        assert ledger.execute("select count(*) from studies").fetchone() == (1,)
    ledger.close()


def test_tensorboard_knows_the_hyperparameters_of_every_trial(served: Served) -> None:
    states = [f"STATUS_{state}" for state in ("UNKNOWN", "SUCCESS", "FAILURE", "RUNNING")]
    question = json.dumps({"experimentName": "", "allowedStatuses": states, "startIndex": 0, "sliceSize": 100})
    path, cookie = "/data/plugin/hparams/session_groups", served.cookie("TensorBoard")
    found: list[object] = []
    while len(found) < TRIALS:  # it reads the logs in a thread
        status, answer = served.ask("TensorBoard", path, method="POST", body=question, Cookie=cookie)
        assert status == 200
        found = json.loads(answer)["sessionGroups"]
        time.sleep(0.2)


def test_with_write_a_note_can_be_made_and_the_digest_stays(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["digest", str(run)])
    before = capsys.readouterr().out
    command = [sys.executable, "-m", "litune", "dashboard", str(run), "--only", "optuna", "--write"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        writing = Served(process)
        headers = {"Cookie": writing.cookie("optuna-dashboard"), "Content-Type": "application/json"}
        connection = HTTPConnection(urlsplit(writing.urls["optuna-dashboard"]).netloc, timeout=60)
        connection.request("PUT", "/api/studies/1/note", '{"body": "seen", "version": 1}', headers)
        assert connection.getresponse().status == 204
        connection.close()
        process.send_signal(signal.SIGTERM)
    cli.main(["digest", str(run)])
    assert capsys.readouterr().out == before


def test_only_a_page_that_is_not_there_is_an_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dashboard", str(run), "--only", "nni"]) == 2
    assert "backend=nni" in capsys.readouterr().err


def test_a_single_training_has_tensorboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["experiment=digits_mlp", "name=once", f"search.runs={tmp_path}", "trainer.max_epochs=1"]
    assert cli.main(["train", *words]) == 0
    assert cli.main(["dashboard", str(tmp_path / "once"), "--only", "optuna"]) == 2
    assert "--only: got optuna; expected tensorboard: a single training" in capsys.readouterr().err
    command = [sys.executable, "-m", "litune", "dashboard", str(tmp_path / "once")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        single = Served(process)
        cookie, deadline = single.cookie("TensorBoard"), time.monotonic() + 60
        while "tensorboard" not in (runs := single.ask("TensorBoard", "/data/runs", Cookie=cookie)[1]):
            assert time.monotonic() < deadline, runs
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
    assert [*single.urls] == ["TensorBoard"]


def test_a_run_without_its_ledger_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shutil.copytree(run, tmp_path / "seen", ignore=shutil.ignore_patterns("ledger.db*"))
    assert cli.main(["dashboard", str(broken)]) == 2
    assert "ledger.db: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["abc", "80", "65535", "-1"])
def test_a_port_that_cannot_be_is_told(run: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dashboard", str(run), f"--port={port}"]) == 2
    assert f"--port: got {port}; expected a port from 1024 to 65534" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_a_browser_shows_every_trial_on_both_pages(served: Served, tmp_path: Path) -> None:
    study = rendered(served.urls["optuna-dashboard"], tmp_path / "study")
    assert len(re.findall('class="point"', study)) >= TRIALS  # of the history's plot
    assert "val_acc" in study
    board = rendered(served.urls["TensorBoard"].replace("#hparams", "#timeseries"), tmp_path / "board")
    assert {f"{number:04d}/tensorboard" for number in range(TRIALS)} <= set(re.findall(r"\d{4}/tensorboard", board))
