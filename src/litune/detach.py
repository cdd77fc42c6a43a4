"""`--detach`: the same search in a session of its own, without the terminal, printing into a file."""

from __future__ import annotations

import shlex
import subprocess
import sys

from omegaconf import DictConfig

from litune.config.documents import display_path
from litune.space.space import Space
from litune.study import identity, opening
from litune.umask import private

LOG = "search.log"


def start(config: DictConfig, space: Space, argv: list[str]) -> int:
    """Start `litune search` with these words, print how to follow and how to stop it, and return 0."""
    directory = identity.directory_of(config, space)
    log_path = directory / LOG
    opening.refuse_if_held(config, space)
    with private():
        directory.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                [sys.executable, "-m", "litune", "search", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    again = shlex.join(["litune", "search", *(word for word in argv if word != "--join"), "--join"])
    print(
        f"{directory.name} is searched in the background by process {process.pid}; its output: {display_path(log_path)}"
    )
    print(f"follow it: {again}\nstop it: kill {process.pid}   (the same command continues it)")
    return 0
