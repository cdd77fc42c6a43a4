"""Searches of the tiny experiment as a person starts them, and what is left of them, seen from outside."""

import os
import signal
import subprocess
from pathlib import Path

from litune.processes import descendants
from tests import preloaded
from tests.faults.searches import wait_for
from tests.preloaded import LITUNE, PROJECT

FAULTY = Path(__file__).parent / "project"
OVERRIDES = ["experiment=tiny", "name=it", "search.algorithm=tpe", "search.pruner=median", "search.trials=24"]


def command(runs: Path, *more: str, backend: str = "optuna") -> list[str]:
    return [*LITUNE, "search", f"backend={backend}", f"search.runs={runs}", *OVERRIDES, *more]


def start(
    runs: Path, *more: str, backend: str = "optuna", project: Path = PROJECT, output: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a search in a session of its own, as a terminal would; `output` takes what it prints."""
    with (output or Path(os.devnull)).open("wb") as file:
        return subprocess.Popen(
            command(runs, *more, backend=backend),
            cwd=project,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # not as a shell's `&` has it
        )


def faulty(runs: Path, fault: str | None, *more: str, backend: str = "optuna") -> subprocess.CompletedProcess[str]:
    """Run a search whose trials have this fault, or that which the space gives each, to its end."""
    given = [f"model.fault={fault}"] if fault else []
    words = ["experiment=faulty", *given, "search.algorithm=random", "search.pruner=none", *more]
    return preloaded.run(command(runs, *words, backend=backend), cwd=FAULTY, timeout=200)


def beside(runs: Path, parallel: int, trials: int, *, backend: str) -> subprocess.CompletedProcess[str]:
    """Run a search of the function whose score tells its params apart, to its end."""
    words = ["experiment=pure", "search.pruner=none", "search.algorithm=random"]
    words += [f"search.parallel={parallel}", f"search.trials={trials}"]
    return preloaded.run(command(runs, *words, backend=backend), cwd=FAULTY, timeout=500)


def left_behind() -> list[str]:
    """Return the commands of what is alive 2 s on below this process: with `adopted`, who has lost his parent too."""
    wait_for(lambda: not _descendants(), 2)
    return [Path(f"/proc/{pid}/cmdline").read_text() for pid in _descendants()]


def _descendants() -> set[int]:
    return {process.pid for process in descendants(os.getpid())} - preloaded.helpers()
