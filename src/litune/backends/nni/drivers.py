"""The driver of an experiment that nnictl runs: the first trial starts it, and it ends with NNI's manager.

It is the same driver as that of `python search.py backend=nni`, told where the manager is: it keeps the ledger
runs/nni-EXPERIMENT and runs the trials that NNI's own tuner draws.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from litune.backends.nni import wire
from litune.backends.nni.rest import Manager
from litune.errors import InputError

RUNS = "search.runs"
LOG = "driver.log"
_STEP = 0.02  # seconds between two looks for the driver's socket
SPACE = "nni_space.json"
NONE = "driverless"  # a file that says that no driver can be had here, so that later trials need not try


def reach(arguments: Sequence[str], manager: Manager) -> wire.Connection | None:
    """Connect to the experiment's driver, started if need be; None where none can be had.

    SystemExit where the trial command's own arguments are wrong.
    """
    directory = run_directory(arguments)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        return wire.connect(str(directory))
    with (directory / "starting").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            return wire.connect(str(directory))
        if (directory / NONE).exists():
            return None
        return _start(arguments, manager, directory)


def run_directory(arguments: Sequence[str]) -> Path:
    """Return where the ledger of this process's NNI experiment lies: in the command's search.runs, or runs.

    The experiment's own search.runs does not count: who looks for the driver only does not read it.
    """
    given = [word.partition("=")[2] for word in arguments if word.lstrip("+").startswith(f"{RUNS}=")]
    runs = given[-1] if given else "runs"
    if set(runs) & set("\"'\\$"):  # what Hydra makes of it; else there is no need to import Hydra
        from litune import launch

        with contextlib.suppress(InputError):  # the driver tells it
            runs = launch.composed(arguments).config.search.runs
    return Path(runs).absolute() / f"nni-{os.environ['NNI_EXP_ID']}"


def overrides(arguments: Sequence[str], manager: Manager) -> list[str]:
    """Return the overrides of the experiment's search: what NNI's config says, and then the trial command's own."""
    directory = run_directory(arguments)
    own = ["backend=nni", f"name={directory.name}", f"backend.manager={manager.url}"]
    own.append(f"{RUNS}={_quoted(directory.parent)}")
    return [*_of_experiment(manager, directory), *arguments, *own]


def _start(arguments: Sequence[str], manager: Manager, directory: Path) -> wire.Connection | None:
    command = [sys.executable, "-m", "litune", "search", *overrides(arguments, manager)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NNI_")}
    log = os.open(directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    before = os.fstat(log).st_size
    streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **streams)  # type: ignore[call-overload] # noqa: S603
    os.close(log)
    while process.poll() is None:
        with contextlib.suppress(OSError):
            return wire.connect(str(directory))
        time.sleep(_STEP)
    text = (directory / LOG).read_bytes()[before:].decode(errors="replace")
    print(f"the driver of this experiment's trials did not start:\n{text}", file=sys.stderr)
    if process.returncode == InputError.exit_code:
        sys.exit(process.returncode)
    (directory / NONE).touch(mode=0o600)
    return None


def _of_experiment(manager: Manager, directory: Path) -> list[str]:
    """Return the overrides that say what NNI's config says: the search space, and how many trials."""
    experiment = manager.experiment()
    space = experiment["searchSpace"]
    path = directory / SPACE
    path.write_text(space if isinstance(space, str) else json.dumps(space, indent=2))
    own = [f"search.space={_quoted(path)}", f"search.parallel={experiment['trialConcurrency']}"]
    if experiment.get("maxTrialNumber"):
        own.append(f"search.trials={experiment['maxTrialNumber']}")
    return own


def _quoted(path: Path) -> str:
    """Return the path as Hydra reads it back: in quotes, and nothing in it an interpolation."""
    return json.dumps(str(path), ensure_ascii=False).replace("${", "\\${")
