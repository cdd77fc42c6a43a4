"""The driver's side of the workers: start the warm parent, send it jobs, and read what their trials say."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litune import interrupts, processes
from litune.errors import InputError, Problem, SearchFailed
from litune.trial import FailureClass, Job
from litune.umask import be_private
from litune.workers import resources
from litune.workers.child import failed
from litune.workers.parent import LISTEN, Message, Parent, Warm, warmed

_PACKET = 1 << 16  # bytes of an answer: the kernel refuses to send many more at once on such a connection


class Workers:
    """A warm parent and the trials that run under it."""

    def __init__(self, warm: list[Warm]) -> None:
        """Fork the parent; it works through `warm` and answers each, see answer()."""
        self._warm = warm
        self._selector = selectors.DefaultSelector()
        self._jobs: dict[int, Job] = {}
        self._text: dict[int, bytes] = {}
        self._ended: set[int] = set()
        self._fork()

    def answer(self) -> Message:
        """Wait for the parent's next answer: what a function of `warm` returned, or {"died": status}."""
        text = b""
        while not text.endswith(b"\n"):
            data = self._control.recv(_PACKET)
            if not data:
                _, status = os.waitpid(self._parent, 0)
                return {"died": os.waitstatus_to_exitcode(status)}
            text += data
        answer: Message = json.loads(text)
        return answer

    def start(self, job: Job) -> None:
        """Start the job's trial."""
        try:
            ours = self._connect()
        except OSError:
            self._restart()
            ours = self._connect()
        ours.sendall(json.dumps({"job": job.to_json()}).encode() + b"\n")
        self._jobs[ours.fileno()] = job
        self._text[ours.fileno()] = b""
        self._selector.register(ours, selectors.EVENT_READ)

    def _connect(self) -> socket.socket:
        """Return a new connection with the parent; OSError if somebody has ended it."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"c"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def poll(self, seconds: float) -> Iterator[tuple[Job, Message]]:
        """Wait up to so many seconds for news; yield (job, message): a `report`, or the one `outcome` of a job."""
        for key, _ in self._selector.select(seconds):
            connection: Any = key.fileobj
            try:
                data = connection.recv(1 << 16)
            except ConnectionError:
                data = b""
            yield from self._read(connection, data)

    def listen(self, listener: socket.socket) -> None:
        """Have the parent serve those who connect to a listening socket too."""
        socket.send_fds(self._control, [LISTEN], [listener.fileno()])

    def alive(self) -> bool:
        """Whether the parent is there."""
        return os.waitpid(self._parent, os.WNOHANG) == (0, 0)

    def fileno(self) -> int:
        """Return a descriptor that is readable when poll() has news, for a selector."""
        return self._selector.fileno()

    def stop(self, number: int) -> None:
        """End a trial; nothing more is heard of it."""
        for fd in [fd for fd, job in self._jobs.items() if job.number == number]:
            connection: Any = self._selector.get_key(fd).fileobj
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        fd = connection.fileno()
        self._selector.unregister(connection)
        self._ended.discard(fd)
        del self._jobs[fd], self._text[fd]
        connection.close()

    def _read(self, connection: socket.socket, data: bytes) -> Iterator[tuple[Job, Message]]:
        fd = connection.fileno()
        job = self._jobs[fd]
        *lines, self._text[fd] = (self._text[fd] + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(json.JSONDecodeError):  # a line that a kill cut short
                message = json.loads(line) if line else {}
                if message.get("type") == "outcome" and fd in self._ended:
                    continue
                if message.get("type") == "outcome":
                    self._ended.add(fd)
                if message.get("type") in ("report", "outcome"):
                    yield job, message
        if not data:
            if fd not in self._ended:
                for left in processes.of_trial(Path(job.directory)):
                    processes.end(left)
                lost = failed(FailureClass.LOST, "the process that ran the trial's worker is gone", {}, 0.0)
                yield job, {"type": "outcome", **lost.to_json()}
            self._forget(connection)

    def close(self) -> None:
        """End every trial and the parent."""
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]  # all of them are sockets
        self._jobs.clear()
        self._control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._parent, 0)

    def _fork(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        driver = os.getpid()
        resources.rest_threads()  # of a script or notebook that has computed something
        self._parent = os.fork()
        if self._parent == 0:
            ours.close()
            _be_parent(theirs, self._warm, driver)
        theirs.close()
        self._control = ours

    def _restart(self) -> None:
        """Fork another parent: somebody ended the one there was."""
        self._control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._parent, 0)
        self._fork()
        for _ in self._warm:
            raise_for(self.answer())


def raise_for(answer: Message) -> None:
    """Raise what an answer of the warm parent says is wrong."""
    if problems := [Problem(**problem) for problem in answer.get("problems", ())]:
        raise InputError(problems)
    if "died" in answer:
        raise SearchFailed(f"the process that loads the model's classes and data ended with status {answer['died']}")


def _be_parent(control: socket.socket, warm: list[Warm], driver: int) -> None:
    status = 1
    try:
        be_private()
        os.setpgid(0, 0)  # a Ctrl-C in the terminal is the driver's business
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupts.leave_to_parent()
        resources.die_with_parent(driver)
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
        for answer in warmed(warm):
            text = json.dumps(answer).encode() + b"\n"
            for start in range(0, len(text), _PACKET):
                control.send(text[start : start + _PACKET])
            if answer.get("problems"):  # the search ends, and is not to wait for what else there is to load
                return
        resources.outlive_parent()  # the closed control connection tells it, and it ends its children first
        Parent(control).serve()
        status = 0
    finally:
        os._exit(status)
