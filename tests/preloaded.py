"""The command line in a process of its own that finds everything imported: for what is not about a command's start.

multiprocessing's server imports torch and all the rest once for a worker of pytest; a command is forked from it.
"""

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import litune
from litune import cli

PROJECT = Path(__file__).parent / "backends" / "project"
LITUNE = [sys.executable, "-m", "litune"]
MODULES = ["litune.driver", "litune.study.opening", "litune.report.ending", "litune.training.training", "torchmetrics"]

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(MODULES)


def run(
    command: list[str], *, cwd: Path = PROJECT, env: dict[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `python -m litune WORDS`, as subprocess.run() does."""
    assert command[: len(LITUNE)] == LITUNE
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        words = command[len(LITUNE) :]
        process = _server.Process(target=_become, args=(words, cwd, env or dict(os.environ), out, err))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(command, timeout, out.read_text(), err.read_text())
        assert process.exitcode is not None
        return subprocess.CompletedProcess(command, process.exitcode, out.read_text(), err.read_text())


def helpers() -> set[int]:
    """Return the processes that are there for run(): the server, and multiprocessing's keeper of shared things."""
    found = {forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid}
    return found - {None}


def _become(words: list[str], cwd: Path, env: dict[str, str], out: Path, err: Path) -> None:
    for path, stream in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = [str(Path(litune.__file__).with_name("__main__.py")), *words]
    sys.path[:0] = [str(cwd), *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        sys.exit(cli.main(words))
    finally:
        atexit._run_exitfuncs()  # which multiprocessing's children leave out
