"""JSON lines over a Unix socket in the run directory: how NNI's processes speak with the one that keeps the ledger.

Every trial that NNI starts imports this file, which therefore imports little itself.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

from litune import unix_socket

RUN = "LITUNE_NNI_RUN"  # the variable that names the run directory to what the manager starts
Message = dict[str, Any]


class Connection:
    """One end of a connection; messages are JSON values, one a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._text = b""

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self.socket.fileno()

    def send(self, message: Message) -> bool:
        """Send one message; say whether somebody is there to read it."""
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def read(self) -> list[Message] | None:
        """Return the messages of one recv, perhaps none; None when the other end is gone."""
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._text = (self._text + data).split(b"\n")
        return [json.loads(line) for line in lines if line]

    def messages(self) -> Iterator[Message]:
        """Yield messages until the other end is gone."""
        while (found := self.read()) is not None:
            yield from found

    def close(self) -> None:
        """Close this end."""
        self.socket.close()


def listen(directory: str) -> socket.socket:
    """Return the listening socket of a run directory. The caller holds the run's lock."""
    return unix_socket.listen(directory, unix_socket.DRIVER)


def connect(directory: str) -> Connection:
    """Connect to the listener of a run directory; OSError where there is none."""
    return Connection(unix_socket.connect(directory, unix_socket.DRIVER))
