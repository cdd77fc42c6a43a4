"""Unix sockets in a run's directory, open to its user only, however long the directory's path is."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

DRIVER, PARENT = "driver.sock", "warm.sock"  # of NNI's trials, and of Ray's


def listen(directory: str, name: str) -> socket.socket:
    """Return a listening socket of this name, in place of one that a driver left there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _path(directory, name) as path:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - pathlib takes longer to import than the rest of a trial's start
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
    listener.listen(128)
    return listener


def connect(directory: str, name: str) -> socket.socket:
    """Connect to the one who listens there; OSError where nobody does."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _path(directory, name) as path:
            connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the pid and the user id of the other end (SO_PEERCRED)."""
    pid, user, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, user


@contextlib.contextmanager
def _path(directory: str, name: str) -> Iterator[str]:
    """Give a path of the socket that is short (proc(5)): it may have 107 bytes, the directory's own more."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)
