"""A run directory tells nobody else anything, and holds no secret."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from fsspec.implementations import local

from tests import in_process
from tests.faults.searches import command, environment, finish
from tests.preloaded import PROJECT

SECRET = "hunter2-7f3a9c51"  # noqa: S105 - nobody's
DATA = """\
import tiny


class Guarded(tiny.Data):
    def __init__(self, token: str) -> None:
        super().__init__()
        assert token
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was made under umask 022, with secrets around it."""
    runs = tmp_path_factory.mktemp("runs")
    project = tmp_path_factory.mktemp("project")
    (project / "guarded.py").write_text(DATA)
    variables = environment(runs, PYTHONPATH=f"{project}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    variables |= {"WANDB_API_KEY": SECRET, "MY_TOKEN": SECRET}
    words = ["search.trials=4", "data={_target_: guarded.Guarded, token: '${oc.env:MY_TOKEN}'}", "allow=[guarded]"]
    finish(command(runs, "search.algorithm=random", *words), env=variables, preexec_fn=lambda: os.umask(0o022))
    return runs / "it"


def holds_secret(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_files_are_their_owners_alone(run: Path) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (run, *run.rglob("*"))}
    assert len(modes) > 20
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_files_of_a_single_training_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    local.get_umask.cache_clear()
    local.get_umask(0o666)  # as where this process has written a checkpoint of its own before
    try:
        in_process.litune("train", "experiment=tiny", "name=once", f"search.runs={tmp_path}")
        in_process.search(tmp_path, "search.trials=1")
        in_process.litune("train", f"replay={tmp_path / 'it'}", "trial=0")
    finally:
        os.umask(before)
    for directory in (tmp_path / "once", tmp_path / "it" / "replays"):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.rglob("*"))}
        assert len(modes) > 5
        assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_files_of_trials_are_their_owners_alone_whatever_the_process_that_searches_has_written(tmp_path: Path) -> None:
    script = f"""
import os
from fsspec.implementations.local import get_umask
from litune import cli
os.umask(0o022)
get_umask(0o666)  # as where it has written a checkpoint of its own before
cli.main(["search", "backend=optuna", "experiment=tiny", "name=it", "search.runs={tmp_path}", "search.trials=1"])
"""
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True, capture_output=True)
    files = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "it").rglob("*.ckpt")}
    assert files
    assert {path: oct(mode) for path, mode in files.items() if mode & 0o077} == {}


def test_a_run_directory_that_nnis_manager_needs_first_is_its_owners_alone(tmp_path: Path) -> None:
    pytest.importorskip("nni")
    words = command(tmp_path / "runs", "search.algorithm=random", "search.trials=1", backend="nni")
    finish(words, preexec_fn=lambda: os.umask(0o022))
    made = (tmp_path / "runs", tmp_path / "runs/it", tmp_path / "runs/it/nni")
    assert [oct(stat.S_IMODE(path.stat().st_mode)) for path in made] == ["0o700"] * 3


def test_a_secret_of_the_environment_is_in_no_file(run: Path) -> None:
    assert "${oc.env:MY_TOKEN}" in (run / "config.yaml").read_text()
    assert holds_secret(run) == []


def test_the_password_of_a_database_is_in_no_file(postgresql: str, tmp_path: Path) -> None:
    url = postgresql.replace("litune@", f"litune:{SECRET}@")
    words = command(tmp_path, "search.trials=2", "search.algorithm=random", "search.storage=${oc.env:MY_DATABASE}")
    done = finish(words, env=environment(tmp_path, MY_DATABASE=url))
    assert holds_secret(tmp_path) == []
    assert SECRET not in done.stdout + done.stderr


def test_a_password_on_the_command_line_is_refused(project) -> None:
    result = project.search("experiment=mine", f"search.storage=postgresql+psycopg://me:{SECRET}@host/db")
    project.assert_refused(result, "search.storage: got a URL with a password in it; expected ${oc.env:")
    assert SECRET not in result[2]
