"""Those who come to the driver's socket: NNI's tuner, its trials, and the manager's watch on us."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from litune import unix_socket
from litune.backends.nni.wire import Connection, Message


@dataclass(eq=False)
class Client:
    """A connection, and who it is: `tuner`, `watch` or `trial`; a trial that needs no more is `answered` or `refused`.

    trial   NNI's id of the trial
    number  that of the trial in the ledger, once it is known
    """

    connection: Connection
    kind: str = ""
    trial: str = ""
    number: int | None = None


class Clients:
    """The clients at a listening socket. What is said to them waits for flush()."""

    def __init__(self, listener: socket.socket) -> None:
        self.tuner: Connection | None = None
        self.group: int | None = None  # the process group of a manager that was not started here
        self.last_use = time.monotonic()
        self._listener = listener
        self._clients: set[Client] = set()
        self._outbox: list[tuple[Connection, Message]] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)

    def fileno(self) -> int:
        """Return a descriptor that is readable when poll() has news, for a selector."""
        return self._selector.fileno()

    def poll(self) -> Iterator[tuple[Client, Message]]:
        """Yield (client, message) of what they have said by now; who comes, goes, or says who it is, is dealt with."""
        for key, _ in self._selector.select(0):
            if key.fileobj is self._listener:
                self._welcome()
            else:
                yield from self._hear(key.data)

    @property
    def trials(self) -> list[Client]:
        """Those of trials that run, or wait to."""
        return [client for client in self._clients if client.kind == "trial"]

    def of_trial(self, number: int) -> Client | None:
        """Return the client of the trial with this number in the ledger."""
        return next((client for client in self._clients if client.number == number), None)

    def has_come(self, trial: str) -> bool:
        """Say whether the client of the trial with this id of NNI's is here."""
        return any(client.trial == trial for client in self._clients)

    def say(self, connection: Connection, message: Message) -> None:
        """Have flush() send the message."""
        self._outbox.append((connection, message))

    def flush(self) -> None:
        """Send what was said."""
        for connection, message in self._outbox:
            connection.send(message)
        self._outbox.clear()

    def forget(self, client: Client) -> None:
        """Hang up on a client."""
        self._selector.unregister(client.connection)
        self._clients.discard(client)
        client.connection.close()
        self.tuner = None if client.connection is self.tuner else self.tuner

    def dismiss(self, *, keep: bool) -> None:
        """Hang up on trials and tuner; with `keep` the manager may outlive this process."""
        for client in list(self._clients):
            if client.kind != "watch":
                self.forget(client)
            elif keep:
                client.connection.send({"type": "keep"})

    def close(self) -> None:
        """Hang up on everybody."""
        for client in self._clients:
            client.connection.close()
        self._selector.close()

    def _welcome(self) -> None:
        """Accept a process of this user's own."""
        accepted, _ = self._listener.accept()
        if unix_socket.peer(accepted)[1] != os.getuid():
            accepted.close()
            return
        client = Client(Connection(accepted))
        self._clients.add(client)
        self._selector.register(client.connection, selectors.EVENT_READ, client)

    def _hear(self, client: Client) -> Iterator[tuple[Client, Message]]:
        messages = client.connection.read()
        if messages is None:  # a trial goes on without its client, and is recorded
            self.forget(client)
            return
        self.last_use = time.monotonic()
        for message in messages:
            if (kind := message["type"]) not in ("tuner", "watch", "trial"):
                yield client, message
                continue
            client.kind, client.trial = kind, message.get("trial", "")
            self.tuner = client.connection if kind == "tuner" else self.tuner
            self.group = self.group or _managers_group(message.get("group"))


def _managers_group(group: int | None) -> int | None:
    """Return the group if its leader is NNI's manager: a group that nobody else's processes are in."""
    with contextlib.suppress(OSError):
        if group is not None and b"nni_node" in Path(f"/proc/{group}/cmdline").read_bytes():
            return group
    return None
