"""One driver a run: an flock that the kernel releases when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from litune.errors import Problem, StudyLocked

FILE = "lock"


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the run's lock; raise StudyLocked with the holder's pid and host where another process has it."""
    path = directory / FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyLocked(_problem(path)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _problem(path: Path) -> Problem:
    try:
        holder = json.loads(path.read_text())
        who = f"the driver with pid {holder['pid']} on {holder['host']} at work on this run"
    except (ValueError, KeyError):
        who = "another driver at work on this run"
    return Problem(where=str(path), got=who, expected="none", cure="wait for it, end it, or give another name=")
