"""One driver a run: an flock that the kernel releases when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from litune.errors import Problem, StudyLocked

FILE = "lock"
SOMEBODY = "another driver at work on this run"
_TRIES, _PAUSE = 3, 0.03  # seconds: is_held() holds it for a moment
_open: set[int] = set()  # descriptors of the locks that this process holds


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the run's lock; raise StudyLocked with the holder's pid and host where another process has it."""
    path = directory / FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _open.add(descriptor)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError:
            raise StudyLocked(_problem(directory)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        yield
    finally:
        if descriptor in _open:  # else this is a fork of its holder, see _let_go
            _open.remove(descriptor)
            os.close(descriptor)


def _let_go() -> None:
    """Close what a forked process has inherited: the lock would be held until the last of them is gone."""
    while _open:
        os.close(_open.pop())


os.register_at_fork(after_in_child=_let_go)


def _lock(descriptor: int) -> None:
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(directory: Path) -> bool:
    """Say whether a process holds the run's lock."""
    try:
        descriptor = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def holder(directory: Path) -> str:
    """Return who holds the run's lock, in words."""
    try:
        found = json.loads((directory / FILE).read_text())
        return described(found["pid"], found["host"])
    except (OSError, ValueError, KeyError):
        return SOMEBODY


def described(pid: int, host: str) -> str:
    """Return who is at work on a run, in words."""
    return f"the driver with pid {pid} on {host} at work on this run"


def _problem(directory: Path) -> Problem:
    cure = "wait for it, end it, follow it with --join, or give another name="
    return Problem(where=str(directory / FILE), got=holder(directory), expected="none", cure=cure)
