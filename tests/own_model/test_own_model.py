"""A stranger's model, data and function, by YAML and from Python, on every backend."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import litune
from litune.errors import InputError
from tests import preloaded
from tests.in_process import digest_of
from tests.preloaded import LITUNE

PROJECT = Path(__file__).parent / "project"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a copy of the project in a directory that has nothing to do with litune's."""
    return Path(shutil.copytree(PROJECT, tmp_path_factory.mktemp("own") / "project"))


def python(project, *words):
    done = subprocess.run(
        [sys.executable, *words], cwd=project, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    return done.stdout.splitlines()


def by_yaml(project, backend, *words):
    words = ["--config-dir", "conf", "experiment=waves", f"backend={backend}", f"name=yaml-{backend}", *words]
    done = preloaded.run([*LITUNE, "search", *words], cwd=project)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    return digest_of(done.stdout)


@pytest.fixture(scope="module")
def reference(project):
    return by_yaml(project, "local")


def test_python_finds_what_yaml_finds(project, reference):
    assert python(project, "tune.py", "optuna")[-1] == reference


def test_ray_finds_it_too(project, reference):
    pytest.importorskip("ray")
    assert by_yaml(project, "ray") == reference


def test_nni_finds_it_too_from_python(project, reference):
    pytest.importorskip("nni")
    assert python(project, "tune.py", "nni")[-1] == reference


WITNESS = """
import lightning.pytorch as pl

class Witness(pl.Callback):
    def on_fit_start(self, trainer, module):
        known = (pl.Callback, pl.loggers.Logger)
        with open(trainer.default_root_dir + "/strangers.txt", "w") as file:
            print([one for one in trainer.callbacks + trainer.loggers if not isinstance(one, known)], file=file)
"""


@pytest.fixture(scope="module")
def relative(tmp_path_factory):
    """Return the same project, made of the package `lightning`; old_forecast is as it was."""
    if find_spec("lightning") is None:
        pytest.skip("the package lightning is not installed")
    other = Path(shutil.copytree(PROJECT, tmp_path_factory.mktemp("relative") / "project"))
    shutil.copytree(other / "my_forecast", other / "old_forecast")
    for file in (other / "my_forecast").glob("*.py"):
        file.write_text(file.read_text().replace("import pytorch_lightning as pl", "import lightning.pytorch as pl"))
    (other / "witness.py").write_text(WITNESS)
    return other


def test_a_model_made_of_the_package_lightning_has_its_trainer_callbacks_and_loggers(relative, reference):
    words = [
        "callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping",
        "callbacks.stop.monitor=forecast/rmse",
    ]
    words += ["callbacks.stop.patience=9", "callbacks.witness._target_=witness.Witness"]
    words += ["callbacks.rate._target_=pytorch_lightning.callbacks.LearningRateMonitor"]
    assert by_yaml(relative, "optuna", *words) == reference
    for trial in (relative / "runs" / "yaml-optuna" / "trials").iterdir():
        assert (trial / "strangers.txt").read_text() == "[]\n"
        assert (trial / "csv" / "metrics.csv").is_file()


def test_a_model_of_one_package_with_data_of_the_other_is_told_so(relative):
    words = ["--config-dir", "conf", "experiment=waves", "data._target_=old_forecast.series.Waves"]
    words += ["callbacks.rate._target_=pytorch_lightning.callbacks.LearningRateMonitor"]
    done = preloaded.run([*LITUNE, "search", *words], cwd=relative)
    assert done.returncode == 2
    told = (
        "data._target_: got old_forecast.series.Waves, made of pytorch_lightning; expected a class made of lightning."
    )
    assert told in done.stderr
    assert "callbacks" not in done.stderr


def test_a_model_and_a_function_of_the_script_itself(project):
    found = json.loads(python(project, "in_main.py")[-1])
    assert found["model"] == "Wide"
    assert found["rate"]
    assert found["checkpoint"]
    assert found["lowest"]
    assert found["columns"] == ["state", "score", "model.learning_rate", "seconds", "failure"]
    assert found["optuna"] == ["COMPLETE", "COMPLETE"]
    assert found["report"]
    states = [row["state"] for row in found["function"]]
    assert len(states) == 12
    assert {"COMPLETE", "PRUNED"} == set(states)
    assert all(row["score"] == 4 * row["slope"] for row in found["function"] if row["state"] == "COMPLETE")
    assert found["digests"][0] == found["digests"][1]
    elsewhere = "import litune, sys; print(type(litune.SearchResult(sys.argv[1]).best.load().size).__name__)"
    assert python(project, "-c", elsewhere, found["run"])[-1] == "Size"


def test_a_model_without_a_file_works_where_it_is_defined(project):
    script = (project / "in_main.py").read_text().replace("trials=12", "trials=3").replace("again", "once_more")
    lines = script.rpartition("if __name__")[0] + "main()\n"
    done = subprocess.run(
        [sys.executable, "-"], input=lines, cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    [run] = [
        path for path in (project / "runs").glob("Wide-*") if "__main__.Wide" in (path / "config.yaml").read_text()
    ]
    elsewhere = preloaded.run([*LITUNE, "train", "--config-file", f"{run}/best.yaml"], cwd=project)
    assert elsewhere.returncode == 2
    assert "got __main__.Wide; expected a class or function in a module" in elsewhere.stderr
    assert "put it into a module" in elsewhere.stderr


def test_a_script_that_searches_whenever_it_is_imported_is_told_so(project):
    (project / "conf" / "experiment" / "unguarded.yaml").write_text(
        "# @package _global_\nmodel: {_target_: unguarded.Mine}\nobjective: {metric: m}\ntrainer: {accelerator: cpu}\n"
    )
    done = preloaded.run([*LITUNE, "train", "--config-dir", "conf", "experiment=unguarded"], cwd=project)
    assert done.returncode == 2
    assert 'put the search below: if __name__ == "__main__":' in done.stderr


def test_import_litune_loads_nothing_heavy():
    code = "import sys, litune; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "optuna", "ray", "nni", "hydra", "omegaconf", "numpy", "yaml"} & set(done.stdout.split())
    assert {"search", "SearchResult", "loguniform", "choice"} <= set(dir(litune))
    assert litune.InputError is InputError


@pytest.mark.parametrize("backend", ["optuna", pytest.param("ray", marks=pytest.mark.slow)])
def test_trials_are_forked_from_a_process_without_optuna(backend, tmp_path):
    script = tmp_path / "lean.py"
    script.write_text(
        "import sys, litune\ndef found(params, trial):\n    return float('optuna' in sys.modules)\n"
        "if __name__ == '__main__':\n    ranges = {'x': litune.uniform(0, 1)}\n"
        f"    print(litune.search(found, space=ranges, trials=1, backend={backend!r}).best.score)\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["0.0"], done.stdout[-2000:] + done.stderr[-2000:]


def nothing(params, trial):
    return 0.0


def one_argument(params):
    return 0.0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"space": {"x": {"_type": "uniform", "_value": [1, 0]}}},
            ["function.x._value: got [1, 0]; expected low below high"],
        ),
        ({"space": {"x": [1, 2]}, "trails": 3}, ["trails: got an unknown argument", "did you mean trials?"]),
        ({"space": {"x": [1, 2]}, "backend": "optna"}, ["backend: got 'optna'", "did you mean optuna?"]),
        ({"space": {"x": [1, 2]}, "trials": 0}, ["search.trials: got 0; expected at least 1"]),
        (
            {"space": {"x": [object()]}, "seed": {1}},
            ["function.x._value.0: got <object", "seed: got {1}; expected a num"],
        ),
        (
            {"space": {"x": [1, 2]}, "max_epochs": 3, "gpus": 1},
            ["mean trainer.max_epochs?", "mean trainer.accelerator=gpu"],
        ),
        ({"space": {"x": [1, 2]}, "seed": "${oc.env:NO_SUCH}"}, ["seed: got ${oc.env:NO_SUCH}; expected an interpol"]),
        ({"space": {"x": [1, 2]}, "data_args": {"window": 3}}, ["data_args: ", "expected nothing without data"]),
        (
            {"space": {"x": [1, 2]}, "trainer": 3, "trainer.max_epochs": 2, "objective": 4, "backend": 5},
            ["trainer: got 3; expected a section", "objective: got 4; expected a section", "backend: got 5"],
        ),
        (
            {"space": {"x": [1, 2]}, "callbacks": [object()], "logger": False},
            ["callbacks: got [<object", "expected {NAME: {'_target_'", "logger: got False", "logger=None for none"],
        ),
        ({"space": {"x": [1, 2]}, "mode": "up", "parallel": 0}, ["objective.mode: got 'up'", "search.parallel: got 0"]),
    ],
)
def test_what_is_wrong_with_the_call_is_told_at_once(tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        litune.search(nothing, **{"trials": 1, **arguments})
    for words in ["litune.search: ", *expected]:
        assert words in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_class_inside_a_function_has_no_name_to_be_found_by():
    class Hidden:
        pass

    with pytest.raises(InputError, match="define it at the top level of a module"):
        litune.search(model=Hidden, space={"model.x": [1]}, metric="m")


def test_a_function_must_take_params_and_trial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"one_argument\(params\); expected a function of \(params, trial\)"):
        litune.search(one_argument, space={"x": [1, 2]}, backend="local")
