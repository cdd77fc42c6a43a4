"""The warm parent: has one child a job, forked ahead, keeps its deadline, and says how it ended.

It computes on no tensor, starts no thread and makes no CUDA context of its own, so a child finds everything untouched.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from litune import garbage, processes, unix_socket
from litune.trial import FailureClass, Job
from litune.workers import resources
from litune.workers.child import base_config, failed
from litune.workers.forked import Forked, fork

LISTEN = b"l"  # says that a descriptor on the control connection is a listening socket; else it is a client's
GRACE = 3.0  # seconds between SIGTERM and SIGKILL
_QUIET = 0.05  # seconds without news after which the next child is forked: a trial has come through its start by then
_ROOM = 5.0  # seconds for there to be room for a trial's process
_BUFFER = 1 << 20

Message = dict[str, Any]
Warm = Callable[[], Message]  # run once in the new parent; what it returns is sent to the driver


def warmed(steps: Iterable[Warm]) -> Iterator[Message]:
    """Yield each step's answer; in the end all that they have imported and loaded is kept from every collection."""
    metadata.entry_points = metadata.entry_points().select  # else each Trainer looks through all that is installed
    with garbage.collection_off():
        for step in steps:
            yield step()
    gc.freeze()  # else a child's first collection writes to, and so copies, every page it shares


@dataclass
class _Client:
    """A connection, and the child that works for it once the job is there."""

    connection: socket.socket
    text: bytes = b""
    job: Job | None = None
    pid: int = 0
    started: float = 0.0  # when its child began; before that, when it asked for one
    timeout: float | None = None
    ended_by: str = ""  # "" | "deadline" | "client"


class Parent:
    """Serve requests until the control connection closes."""

    def __init__(self, control: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._clients: dict[int, _Client] = {}
        self._next: Forked | None = None  # the child that the next job gets
        processes.adopt_orphans()
        self._control = control
        self._listener: socket.socket | None = None
        self._selector.register(control, selectors.EVENT_READ, self._on_control)
        self._wake, wake = socket.socketpair()
        for end in (self._wake, wake):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._wake_in = wake
        self._selector.register(self._wake, selectors.EVENT_READ, self._on_child)

    def listen(self, listener: socket.socket) -> None:
        """Accept requests of this user's processes on a Unix socket too."""
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self._on_listener)

    def serve(self) -> None:
        """Work until there is nobody left to work for, then end every child."""
        self._serving = True
        try:
            while self._serving:
                news = self._selector.select(self._wait())
                for key, _ in news:
                    key.data(key.fileobj)
                if not (news or self._next):
                    with contextlib.suppress(OSError):  # no room for one now
                        self._next = fork(self._leave)
                self._deadlines()
                self._reap()
                self._start_waiting()
        finally:
            if self._next:
                self._next.end()
            processes.end_descendants()

    def _on_control(self, control: socket.socket) -> None:
        """Take a client or a listening socket from the driver; its end is ours."""
        data, fds, _, _ = socket.recv_fds(control, _BUFFER, 1)
        if not data:
            self._serving = False
        for fd in fds:
            if data == LISTEN:
                self.listen(socket.socket(fileno=fd))
            else:
                self._welcome(socket.socket(fileno=fd))

    def _on_listener(self, listener: socket.socket) -> None:
        """Take a client of this user's, as from a Ray actor."""
        connection, _ = listener.accept()
        if unix_socket.peer(connection)[1] != os.getuid():
            connection.close()
            return
        self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ, self._on_client)

    def _on_client(self, connection: socket.socket) -> None:
        """Read a client's job, and start it; end the trial of a client that has gone."""
        client = self._clients[connection.fileno()]
        try:
            data = connection.recv(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.text += data
        if not data:  # the client is gone: so is its trial
            self._selector.unregister(connection)
            if client.pid:
                client.ended_by = "client"
                resources.kill_group(client.pid)
            else:
                self._forget(client)
            return
        if b"\n" in data and not client.job:
            client.job, client.started = Job.from_json(json.loads(client.text)["job"]), time.monotonic()
            with contextlib.suppress(Exception):  # the trial meets it again, and tells it
                base_config(client.job)
            self._start(client, client.job)

    def _start(self, client: _Client, job: Job) -> None:
        """Have a child run the job; where there is no room for one it is tried again later, as a trial may end."""
        while not client.pid:
            try:
                child, self._next = self._next or fork(self._leave), None
            except OSError as error:
                if time.monotonic() > client.started + _ROOM:
                    self._refuse(client, f"no process could be forked for it in {_ROOM:g} s: {error.strerror}")
                return
            try:
                child.hand(job, client.connection)
            except OSError:  # somebody has ended or stopped it
                child.end()
            else:
                client.pid, client.timeout, client.started = child.pid, job.timeout, time.monotonic()

    def _start_waiting(self) -> None:
        for client in list(self._clients.values()):
            if client.job and not client.pid:
                self._start(client, client.job)

    def _refuse(self, client: _Client, why: str) -> None:
        """Tell a client that its trial could not be started."""
        outcome = failed(FailureClass.LOST, why, {}, 0.0)
        self._tell(client, [{"type": "outcome", **outcome.to_json()}])
        self._forget(client)

    def _leave(self) -> None:
        """Let go, in a new child, of what is the parent's."""
        self._selector.close()
        inherited = [self._control, self._listener, self._wake, self._wake_in]
        for one in [*inherited, *(client.connection for client in self._clients.values())]:
            if one is not None:
                one.close()

    def _on_child(self, wake: socket.socket) -> None:
        """Empty the pipe that wakes this process when a child ends."""
        with contextlib.suppress(BlockingIOError):
            wake.recv(4096)

    def _reap(self) -> None:
        """Bury each child that has ended, with all that its trial left behind, and tell its client how."""
        for client in [client for client in self._clients.values() if client.pid]:
            pid, status = os.waitpid(client.pid, os.WNOHANG)
            if pid:
                resources.kill_group(pid)  # what the trial started and left behind, if it stayed in the group
                others = [other.pid for other in self._clients.values() if other is not client]
                processes.end_descendants(but=[*others, *([self._next.pid] if self._next else [])])
                self._say_goodbye(client, os.waitstatus_to_exitcode(status))
                self._forget(client)

    def _say_goodbye(self, client: _Client, code: int) -> None:
        """Tell how the process ended; where the trial's own outcome came before, that counts."""
        seconds = time.monotonic() - client.started
        if client.ended_by == "deadline":
            kind, message = (
                FailureClass.TIMEOUT,
                f"ran longer than the {client.timeout:g} s that search.trial_timeout left it",
            )
        elif code < 0:
            kind, message = FailureClass.KILLED, f"killed by {signal.Signals(-code).name}"
        else:
            kind, message = FailureClass.ERROR, f"its process ended with exit code {code}, without an outcome"
        outcome = failed(kind, message, {}, seconds)
        self._tell(client, [{"type": "outcome", **outcome.to_json()}, {"type": "exit", "status": code}])

    def _tell(self, client: _Client, lines: Iterable[Message]) -> None:
        with contextlib.suppress(OSError):
            client.connection.setblocking(True)
            client.connection.sendall(b"\n" + b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def _forget(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client.connection)
        client.connection.close()

    def _wait(self) -> float | None:
        """Return the seconds until something is due; None if nothing is."""
        now = time.monotonic()
        ends = [client.started + client.timeout - now for client in self._clients.values() if client.timeout]
        if self._clients and not self._next:
            ends.append(_QUIET)
        return max(0.05, min(ends)) if ends else None

    def _deadlines(self) -> None:
        """End the trials whose time is over: by SIGTERM, and after GRACE by SIGKILL."""
        now = time.monotonic()
        for client in self._clients.values():
            if client.pid and client.timeout and now > client.started + client.timeout:
                over = now - client.started - client.timeout
                client.ended_by = "deadline"
                resources.kill_group(client.pid, signal.SIGKILL if over > GRACE else signal.SIGTERM)
