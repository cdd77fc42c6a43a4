"""A run directory tells nobody else anything, holds no secret, and runs nothing that somebody has put into it."""

import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.faults.searches import LITUNE, PROJECT, command, ended, environment, finish, processes, start, wait_for

SECRET = "hunter2-7f3a9c51"  # noqa: S105 - nobody's
DATA = """\
import tiny


class Guarded(tiny.Data):
    def __init__(self, token: str) -> None:
        super().__init__()
        assert token
"""


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


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


def test_nothing_in_a_run_directory_is_unpickled(tmp_path: Path) -> None:
    canary, words = tmp_path / "canary", command(tmp_path, "search.algorithm=random", "search.trials=12")
    driver = start(words, env=environment(tmp_path))
    assert wait_for(lambda: ended(tmp_path) >= 3, 120)
    driver.kill()
    driver.wait()
    assert wait_for(lambda: not processes(tmp_path, driver.pid), 4)
    run = tmp_path / "it"
    (run / "space.pkl").write_bytes(pickle.dumps(Canary(canary)))
    for trial in range(12):
        checkpoints = run / "trials" / f"{trial:04d}" / "checkpoints"
        checkpoints.mkdir(parents=True, exist_ok=True)
        for name in ("last.ckpt", "best.ckpt", *(path.name for path in checkpoints.glob("*.ckpt"))):
            torch.save({"state_dict": {}, "epoch": 1, "evil": Canary(canary)}, checkpoints / name)
    finish(words)
    for words in (["list", str(tmp_path)], *([name, str(run)] for name in ("trials", "best", "digest", "report"))):
        subprocess.run([*LITUNE, *words], cwd=PROJECT, check=True, capture_output=True, timeout=60)
    replayed = [sys.executable, "-m", "litune", "train", f"replay={run}", "trial=1"]
    subprocess.run(replayed, cwd=PROJECT, check=True, capture_output=True, timeout=60)
    assert not canary.exists()
    pickle.loads((run / "space.pkl").read_bytes())  # noqa: S301 - to see that the canary is alive
    assert canary.exists()


@pytest.mark.parametrize("command", ["best", "trials", "digest", "report"])
def test_a_config_with_a_python_tag_is_refused(command: str, run: Path, tmp_path: Path, capsys) -> None:
    from litune import cli

    canary, fake = tmp_path / "canary", tmp_path / "fake"
    fake.mkdir()
    (fake / "config.yaml").write_text(f"name: !!python/object/apply:os.mkdir [{canary}]\n")
    (fake / "space.json").write_text((run / "space.json").read_text())
    assert cli.main([command, str(fake)]) == 2
    said = capsys.readouterr().err
    assert "config.yaml:1: name: got the tag !!python/object/apply:os.mkdir" in said
    assert not canary.exists()
