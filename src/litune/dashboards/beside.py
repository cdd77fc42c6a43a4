"""The dashboards beside a search, in a process of their own: what they do takes no time from the driver."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from litune.backends import View
from litune.workers import resources

_GRACE = 5.0  # seconds


@contextlib.contextmanager
def opened(directory: Path, view: View) -> Iterator[None]:
    """Serve optuna-dashboard and TensorBoard of a run meanwhile, and say their addresses when they are up."""
    command = [sys.executable, "-m", "litune", "dashboard", str(directory)]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C in the terminal is the driver's business
        preexec_fn=resources.die_with_parent,  # a system call, which takes no lock
    )
    assert process.stdout
    said = threading.Thread(target=_say, args=(process.stdout, view), daemon=True)
    said.start()
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        process.kill()
        process.wait()
        said.join()
        process.stdout.close()


def _say(lines: IO[str], view: View) -> None:
    for line in lines:
        if "http://" in line:
            view.say(line.rstrip())
