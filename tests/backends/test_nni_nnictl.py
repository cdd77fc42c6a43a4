"""Experiments that nnictl starts, with a ledger of ours."""

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytest.importorskip("nni")

import psutil

import litune
from litune.backends.nni import env
from litune.errors import InputError
from litune.table import TrialRow
from tests import in_process

PROJECT = Path(__file__).parent / "project"
TRIAL = f"{sys.executable} -m litune.backends.nni.trial experiment=tiny search.runs=runs seed=7"
NOW = {
    "searchSpaceFile": "search_spaces/grid.json",
    "trialCommand": TRIAL,
    "trialCodeDirectory": ".",
    "trialConcurrency": 2,
    "maxTrialNumber": 8,
    "tuner": {"name": "GridSearch"},
    "trainingService": {"platform": "local"},
}
BEFORE = {  # the form of NNI 1
    "authorName": "somebody",
    "experimentName": "grid",
    "trialConcurrency": 2,
    "maxExecDuration": "1h",
    "maxTrialNum": 8,
    "trainingServicePlatform": "local",
    "searchSpacePath": "search_spaces/grid.json",
    "useAnnotation": False,
    "tuner": {"builtinTunerName": "GridSearch"},
    "trial": {"command": TRIAL, "codeDir": ".", "gpuNum": 0},
}


class Experiment:
    """An experiment of nnictl in a copy of the project, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.project = home / "project"
        shutil.copytree(PROJECT, self.project)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "NODE_OPTIONS": env.node_options("loopback.js"),
            "PYTHONWARNINGS": "ignore",
        }
        self.id, self.runs = "", "runs"

    def nnictl(self, *words: str) -> str:
        command = [str(Path(sys.executable).with_name("nnictl")), *words]
        done = subprocess.run(
            command, cwd=self.project, env=self.environment, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def create(self, config: dict) -> None:
        (self.project / "nni.yml").write_text(yaml.safe_dump(config))
        self._start("create", "--config", "nni.yml")
        registry = self.project.parent / "nni-experiments" / ".experiment"
        self.id = next(iter(json.loads(registry.read_text())))

    def resume(self) -> None:
        self._start("resume", self.id)

    def _start(self, *words: str) -> None:
        for _ in range(5):  # nnictl waits 3 s for its manager, which may need longer on a busy machine
            said = self.nnictl(*words, "--port", str(self.port))
            if "Web portal" in said:
                return
        raise AssertionError(said)

    def manager(self) -> psutil.Process:
        registry = self.project.parent / "nni-experiments" / ".experiment"
        return psutil.Process(json.loads(registry.read_text())[self.id]["pid"])

    def litune(self, *words: str) -> str:
        command = [sys.executable, "-m", "litune", words[0], f"{self.runs}/nni-{self.id}", *words[1:]]
        done = subprocess.run(
            command, cwd=self.project, env=self.environment, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    def rows(self) -> list[TrialRow]:
        try:
            return litune.SearchResult(self.project / f"{self.runs}/nni-{self.id}").rows
        except InputError:  # no trial has made the run yet
            return []

    def wait_for(self, count: int, seconds: float = 120) -> None:
        self.wait(lambda: sum(row.ended for row in self.rows()) >= count, seconds)

    def wait(self, true: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self.litune("trials")
            time.sleep(0.3)

    def said(self) -> str:
        """Return what the trials' own logs have, once there is something in them."""
        logs = self.project.parent / "nni-experiments" / self.id / "environments" / "local-env" / "trials"

        def read() -> str:
            return "".join(path.read_text() for path in logs.glob("*/trial.stderr"))

        self.wait(lambda: bool(read()), 60)
        return read()

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = " ".join(process.cmdline())
                if process.environ().get("HOME") == self.environment["HOME"] and ("nni" in words or "litune" in words):
                    found.append(process)
        return found


@pytest.fixture
def experiment(tmp_path: Path):
    made = Experiment(tmp_path)
    yield made
    made.nnictl("stop", "--all")
    for process in made.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()


def digest_of_an_undisturbed_grid(runs: Path, *overrides: str) -> str:
    words = ("seed=7", "search.space=search_spaces/grid.json", "search.algorithm=grid", "search.trials=8")
    return in_process.digest_of(in_process.search(runs, *words, *overrides))


@pytest.mark.parametrize("config", [NOW, BEFORE], ids=["now", "before"])
def test_a_grid_of_nnictl_has_the_table_of_our_own_grid(experiment: Experiment, config: dict, tmp_path: Path) -> None:
    experiment.create(config)
    experiment.wait_for(8)
    assert experiment.litune("digest").split()[-1] == digest_of_an_undisturbed_grid(tmp_path)


@pytest.mark.parametrize(
    ("word", "runs"),
    [("", "runs"), ("'search.runs=\"meine Läufe\"'", "meine Läufe")],
    ids=["of the experiment", "quoted"],
)
def test_a_trial_finds_its_driver_whatever_the_experiment_says_of_runs(
    experiment: Experiment, word: str, runs: str
) -> None:
    experiment.runs = runs
    file = experiment.project / "experiments/tiny.yaml"
    file.write_text(file.read_text().replace("search: {", "search: {runs: elsewhere, "))
    experiment.create({**NOW, "trialCommand": f"{TRIAL.replace('search.runs=runs', word)}", "maxTrialNumber": 2})
    experiment.wait_for(2, 40)  # without a driver it would take a minute, see drivers.py
    assert not (experiment.project / "elsewhere").exists()


def test_a_score_belongs_to_its_params_where_many_run_at_once(experiment: Experiment) -> None:
    tuner = {"name": "Random", "classArgs": {"seed": 1}}
    space = {"searchSpaceFile": "search_spaces/tiny.json"}
    experiment.create({**NOW, **space, "trialConcurrency": 8, "maxTrialNumber": 16, "tuner": tuner})
    experiment.wait_for(16)
    for row in experiment.rows():
        params = row.params
        value = params["model.x"] + 10 * params["model.y"] + 100 * params["model.k"] + 1000 * ord(params["model.kind"])
        assert math.isclose(row.score, value + 0.5 * 3, abs_tol=2e-3)


def test_the_manager_listens_on_this_machine_only(experiment: Experiment) -> None:
    experiment.create(NOW)
    listening = [c.laddr.ip for c in experiment.manager().net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


def test_a_killed_manager_leaves_nothing_behind_and_its_resumed_experiment_the_undisturbed_table(
    experiment: Experiment, tmp_path: Path
) -> None:
    slow = "trainer.max_epochs=30"
    experiment.create({**NOW, "trialCommand": f"{TRIAL} {slow}"})
    experiment.wait_for(2)
    experiment.wait(lambda: any(not row.ended and row.history for row in experiment.rows()))
    experiment.manager().send_signal(signal.SIGKILL)
    experiment.wait(lambda: not experiment.processes(), 10)
    experiment.resume()
    experiment.wait_for(8)
    assert experiment.litune("digest").split()[-1] == digest_of_an_undisturbed_grid(tmp_path, slow)


def test_where_no_driver_can_be_had_the_trials_run_by_themselves_and_say_so(experiment: Experiment) -> None:
    experiment.create({**NOW, "trialCommand": f"{TRIAL} --config-dir .", "maxTrialNumber": 2})
    (experiment.project / f"runs/nni-{experiment.id}/driver.sock").mkdir(parents=True)
    experiment.wait_for(2, 240)
    assert "no driver can be had" in experiment.said()
    assert {row.state for row in experiment.rows()} == {"COMPLETE"}
    assert len({tuple(row.params.items()) for row in experiment.rows()}) == 2


def test_a_mistake_in_the_experiment_is_told_in_the_trials_own_log(experiment: Experiment) -> None:
    experiment.create({**NOW, "trialCommand": f"{TRIAL} trainer.max_epoch=3"})
    assert "did you mean trainer.max_epochs?" in experiment.said()


def test_params_outside_the_space_are_told_with_what_it_has(experiment: Experiment) -> None:
    tuner = "from nni.tuner import Tuner\n\n\nclass Outside(Tuner):\n"
    tuner += "    def update_search_space(self, space): pass\n"
    tuner += "    def generate_parameters(self, *_, **__): return {'model.k': 99, 'model.x': 1}\n"
    tuner += "    def receive_trial_result(self, *_, **__): pass\n"
    (experiment.project / "outside.py").write_text(tuner)
    experiment.create({**NOW, "tuner": {"className": "outside.Outside", "codeDirectory": "."}, "maxTrialNumber": 1})
    said = experiment.said()
    assert "model.k: got 99; expected a whole number from 0 to 3" in said
    assert "model.x: got an unknown param; expected one of model.k, model.kind" in said
    assert "model.kind: got nothing; expected a value" in said
