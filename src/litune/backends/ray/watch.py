"""Ends what Ray has started here when the driver is gone: Ray's own processes notice it late, or a minute later.

It is run as a script, by its path, so that it starts in milliseconds: `watch.py DRIVER`, with a pipe from the driver as
standard input, whose end is the driver's.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time

_SWEEPING, _PAUSE = 1.5, 0.1  # seconds; a worker may be on its way while the others are ended


def processes(driver: int) -> list[int]:
    """Return the processes that hold a file in the directory of a Ray session that the driver has started.

    The directory is named session_DATE_DRIVER; names and environments are of no use, as Ray overwrites them.
    """
    session = re.compile(rf"/session_[0-9_-]+_{driver}(/|$)")
    with os.scandir("/proc") as entries:
        return [int(entry.name) for entry in entries if entry.name.isdigit() and _holds(f"{entry.path}/fd", session)]


def _holds(directory: str, session: re.Pattern[str]) -> bool:
    with contextlib.suppress(OSError), os.scandir(directory) as files:  # of somebody else, or gone
        for file in files:
            with contextlib.suppress(OSError):
                if session.search(os.readlink(file.path)):  # noqa: PTH115 - the standard library's least: it starts at once
                    return True
    return False


def _end(driver: int) -> None:
    end = time.monotonic() + _SWEEPING
    while time.monotonic() < end:
        for process in processes(driver):
            if process != driver:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(_PAUSE)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while sys.stdin.buffer.read(1):
        pass
    _end(int(sys.argv[1]))
