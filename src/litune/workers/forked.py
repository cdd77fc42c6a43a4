"""A child of the warm parent: forked before its work is known, so that no trial waits for the fork; then at work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from litune import processes
from litune.trial import Job
from litune.workers import resources
from litune.workers.child import execute

_PATIENCE = 5.0  # seconds for a child to take its job: one that somebody has stopped does not
_TAKEN = b"t"

Message = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Forked:
    """The child as its parent has it: it waits at `work` for its job."""

    pid: int
    work: socket.socket

    def hand(self, job: Job, connection: socket.socket) -> None:
        """Have it run the job's trial, and tell this connection of it; OSError if the child is gone, or stopped."""
        with self.work:
            socket.send_fds(self.work, [b"j"], [connection.fileno()])
            self.work.sendall(json.dumps(job.to_json()).encode())
            self.work.shutdown(socket.SHUT_WR)
            if self.work.recv(1) != _TAKEN:
                raise ConnectionResetError

    def end(self) -> None:
        """End one that has no work, and wait until it is gone."""
        self.work.close()
        resources.kill_group(self.pid)
        os.waitpid(self.pid, 0)


def fork(leave: Callable[[], None]) -> Forked:
    """Fork a child, which lets go of what is its parent's by `leave`."""
    sys.stdout.flush()
    sys.stderr.flush()
    resources.rest_threads()  # of a user's setup that has computed something
    ours, theirs = socket.socketpair()
    ours.settimeout(_PATIENCE)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(theirs, parent, leave)
    theirs.close()
    with contextlib.suppress(OSError):  # the child does the same; whoever is first
        os.setpgid(pid, pid)
    return Forked(pid=pid, work=ours)


def _live(work: socket.socket, parent: int, leave: Callable[[], None]) -> None:
    status = 1
    try:
        os.setpgid(0, 0)
        resources.die_with_parent(parent)
        processes.adopt_orphans()  # what it leaves behind is the warm parent's at its end, never another trial's
        os.register_at_fork(after_in_child=resources.die_with_parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        leave()
        status = _wait(work)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _wait(work: socket.socket) -> int:
    """Wait for the job, and run its trial; return the exit code."""
    with work, work.makefile() as text:
        _, fds, _, _ = socket.recv_fds(work, 1, 1)
        if not fds:  # the parent has no job for it
            return 0
        job = Job.from_json(json.load(text))
        work.sendall(_TAKEN)
    os.set_inheritable(fds[0], False)  # else what the trial starts holds the connection open
    connection = socket.socket(fileno=fds[0])
    connection.setblocking(True)
    _run_trial(job, connection)
    return 0


def _run_trial(job: Job, connection: socket.socket) -> None:
    """Run a trial, its output in its log, and send what comes of it."""
    Path(job.directory).mkdir(parents=True, exist_ok=True)
    log = os.open(f"{job.directory}/log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, onto in ((null, 0), (log, 1), (log, 2)):
        os.dup2(fd, onto)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a notebook has put others in their place
    # a child may touch CUDA, and the check that must not is asked for at every step of an optimizer
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    os.environ[processes.MARK] = job.directory
    resources.use_devices(job.devices)
    resources.use_memory(job.memory_gb)

    def send(message: Message) -> None:
        connection.sendall(json.dumps(message).encode() + b"\n")

    try:
        outcome = execute(_renumbered(job), send, last=True)
    except SystemExit:  # by a SIGTERM: the parent knows whether that was its own
        _end_by_sigterm()
    send({"type": "outcome", **outcome.to_json()})


def _end_by_sigterm() -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
    raise AssertionError("this process is gone")


def _renumbered(job: Job) -> Job:
    """Return the job with its GPUs as CUDA numbers them where no others are seen, if the config gives their numbers."""
    trainer = job.config["trainer"]
    if job.devices is None or not isinstance(trainer["devices"], list):
        return job
    return replace(job, config={**job.config, "trainer": {**trainer, "devices": list(range(len(job.devices)))}})
