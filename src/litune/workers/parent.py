"""The warm parent: forks one child a request, keeps its deadline, and says how it ended.

It never computes on a tensor, starts no thread and makes no CUDA context, so a child finds everything untouched.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from litune import blas, processes
from litune.trial import FailureClass, Job
from litune.workers import limits
from litune.workers.child import base_config, execute, failed

LISTEN = b"l"  # says that a descriptor on the control connection is a listening socket; else it is a client's
GRACE = 3.0  # seconds between SIGTERM and SIGKILL
_BUFFER = 1 << 20

Message = dict[str, Any]
Warm = Callable[[], Message]  # run once in the new parent; what it returns is sent to the driver


def warmed(steps: Iterable[Warm]) -> Iterator[Message]:
    """Yield each step's answer; in the end all that they have imported and loaded is kept from every collection."""
    gc.disable()  # importing torch makes a million objects that stay: to look for garbage among them takes a second
    metadata.entry_points = metadata.entry_points().select  # else each Trainer looks through all that is installed
    for step in steps:
        yield step()
    blas.libraries.cache_clear()  # of a search that this process has had before
    blas.libraries()  # which takes longer to find than a trial to start
    gc.freeze()  # else a child's first collection writes to, and so copies, every page it shares
    gc.enable()


@dataclass
class _Client:
    """A connection, and the child that works for it once the request is complete."""

    connection: socket.socket
    text: bytes = b""
    fds: list[int] = field(default_factory=list)
    pid: int = 0
    started: float = 0.0
    timeout: float | None = None
    ended_by: str = ""  # "" | "deadline" | "client"


class Parent:
    """Serve requests until the control connection closes, or nobody has asked for `idle` seconds."""

    def __init__(self, *, control: socket.socket | None = None, idle: float | None = None) -> None:
        self._selector = selectors.DefaultSelector()
        self._clients: dict[int, _Client] = {}
        self._idle, self._last_use = idle, time.monotonic()
        processes.adopt_orphans()
        self._control = control
        self._listener: socket.socket | None = None
        if control is not None:
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
                for key, _ in self._selector.select(self._wait()):
                    key.data(key.fileobj)
                self._deadlines()
                self._reap()
                idle = not self._clients and time.monotonic() - self._last_use > (self._idle or float("inf"))
                self._serving &= not idle
        finally:
            processes.end_descendants()

    def _on_control(self, control: socket.socket) -> None:
        data, fds, _, _ = socket.recv_fds(control, _BUFFER, 1)
        if not data:
            self._serving = False
        for fd in fds:
            if data == LISTEN:
                self.listen(socket.socket(fileno=fd))
            else:
                self._welcome(socket.socket(fileno=fd))

    def _on_listener(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if int.from_bytes(peer[4:8], sys.byteorder) != os.getuid():
            connection.close()
            return
        self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ, self._on_client)
        self._last_use = time.monotonic()

    def _on_client(self, connection: socket.socket) -> None:
        client = self._clients[connection.fileno()]
        try:
            data, fds, _, _ = socket.recv_fds(connection, _BUFFER, 3)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        client.fds += fds
        client.text += data
        if not data:  # the client is gone: so is its trial
            self._selector.unregister(connection)
            if client.pid:
                client.ended_by = "client"
                limits.kill_group(client.pid)
            else:
                self._forget(client)
            return
        while b"\n" in client.text:
            line, client.text = client.text.split(b"\n", 1)
            request = json.loads(line)
            if not client.pid:
                self._start(client, request)
            elif "signal" in request:
                limits.kill_group(client.pid, int(request["signal"]))

    def _start(self, client: _Client, request: dict[str, Any]) -> None:
        if job := request.get("job"):
            client.timeout = job["timeout"]
            with contextlib.suppress(Exception):  # the trial meets it again, and tells it
                base_config(Job.from_json(job))
        client.started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        limits.rest_threads()  # of a user's setup that has computed something
        client.pid = os.fork()
        if client.pid == 0:
            self._become_child(client, request, parent)
        with contextlib.suppress(OSError):  # the child does the same; whoever is first
            os.setpgid(client.pid, client.pid)
        for fd in client.fds:
            os.close(fd)
        client.fds.clear()

    def _become_child(self, client: _Client, request: dict[str, Any], parent: int) -> None:
        status = 1
        try:
            os.setpgid(0, 0)
            limits.die_with_parent(parent)
            processes.adopt_orphans()  # what it leaves behind is the warm parent's at its end, never another trial's
            os.register_at_fork(after_in_child=limits.die_with_parent)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            inherited = [self._control, self._listener, self._wake, self._wake_in]
            inherited += [other.connection for other in self._clients.values() if other is not client]
            for one in inherited:
                if one is not None:
                    one.close()
            client.connection.setblocking(True)
            status = _work(client, request)
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _on_child(self, wake: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            wake.recv(4096)

    def _reap(self) -> None:
        for client in [client for client in self._clients.values() if client.pid]:
            pid, status = os.waitpid(client.pid, os.WNOHANG)
            if pid:
                limits.kill_group(pid)  # what the trial started and left behind, if it stayed in the group
                processes.end_descendants(but=[other.pid for other in self._clients.values() if other is not client])
                self._say_goodbye(client, os.waitstatus_to_exitcode(status))
                self._forget(client)

    def _say_goodbye(self, client: _Client, code: int) -> None:
        lines = [{"type": "exit", "status": code}]
        if code != 0:
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
            lines.insert(0, {"type": "outcome", **failed(kind, message, {}, seconds).to_json()})
        with contextlib.suppress(OSError):
            client.connection.setblocking(True)
            client.connection.sendall(b"\n" + b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def _forget(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client.connection)
        client.connection.close()
        self._last_use = time.monotonic()

    def _wait(self) -> float | None:
        now = time.monotonic()
        ends = [client.started + client.timeout - now for client in self._clients.values() if client.timeout]
        if self._idle is not None:
            ends.append(self._idle)
        return max(0.05, min(ends)) if ends else None

    def _deadlines(self) -> None:
        now = time.monotonic()
        for client in self._clients.values():
            if client.pid and client.timeout and now > client.started + client.timeout:
                over = now - client.started - client.timeout
                client.ended_by = "deadline"
                limits.kill_group(client.pid, signal.SIGKILL if over > GRACE else signal.SIGTERM)


def _work(client: _Client, request: dict[str, Any]) -> int:
    """Do what the request asks, in the child; return the exit code."""
    if "command" in request:
        return _run_command(client, request["command"])
    job = Job.from_json(request["job"])
    Path(job.directory).mkdir(parents=True, exist_ok=True)
    log = os.open(f"{job.directory}/log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, onto in ((null, 0), (log, 1), (log, 2)):
        os.dup2(fd, onto)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a notebook has put others in their place
    # a child may touch CUDA, and the check that must not is asked for at every step of an optimizer
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    os.environ[processes.MARK] = job.directory
    limits.use_devices(job.devices)
    limits.use_memory(job.memory_gb)

    def send(message: dict[str, Any]) -> None:
        client.connection.sendall(json.dumps(message).encode() + b"\n")

    outcome = execute(job, send)
    send({"type": "outcome", **outcome.to_json()})
    return 0


def _run_command(client: _Client, command: dict[str, Any]) -> int:
    """Run `module:function` of a command line as a process of its own would: its environment, directory and streams."""
    for fd, onto in zip(client.fds, (0, 1, 2), strict=True):
        os.dup2(fd, onto)
    os.environ.clear()
    os.environ.update(command["env"])
    os.chdir(command["cwd"])
    sys.argv = command["argv"]
    module, function = command["entry"].split(":")
    main: Callable[[], int] = getattr(importlib.import_module(module), function)
    try:
        return int(main() or 0)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
