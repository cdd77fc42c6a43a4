"""Processes by (pid, start time), the families they form, and ending a family whole.

A process that called setsid(2) has left its group, and one whose parent is gone has a new parent. So who starts others
for somebody adopts what they leave behind (adopt_orphans), and finds it among its own children.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "LITUNE_TRIAL"  # the variable that holds the trial's directory in everything that a trial starts
_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 2.0  # seconds for processes to be gone once they got SIGKILL
_STEP = 0.01
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of this machine; `started` (in clock ticks since boot) tells it from a later one with its pid."""

    pid: int
    parent: int
    group: int
    started: int
    zombie: bool = False


def adopt_orphans(*, on: bool = True) -> None:
    """Become the parent of all descendants whose own parent ends (prctl(2)), or no longer."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def find(pid: int) -> Process | None:
    """Return the process with this pid, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()  # the name before it may hold blanks, brackets and half a letter
    numbers = {"parent": int(fields[1]), "group": int(fields[2]), "started": int(fields[19])}
    return Process(pid=pid, zombie=fields[0] in b"ZX", **numbers)


def everything() -> Iterator[Process]:
    """Yield the processes of this machine."""
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit() and (process := find(int(entry.name))):
                yield process


def descendants(pid: int, *, but: Collection[int] = ()) -> list[Process]:
    """Return the living children of a process, their children, and so on; without `but` and those below them."""
    below: dict[int, list[Process]] = {}
    for process in everything():
        below.setdefault(process.parent, []).append(process)
    found, queue = [], [pid]
    while queue:
        children = [process for process in below.get(queue.pop(), ()) if process.pid not in but]
        found += [process for process in children if not process.zombie]
        queue += [process.pid for process in children]
    return found


def of_trial(directory: Path) -> list[Process]:
    """Return the living processes that a trial with this directory, or with one below it, has started by exec(2).

    By their environment, so that they are found wherever in the family they are.
    """
    mark = f"{MARK}={directory}".encode()
    found = []
    for process in everything():
        with contextlib.suppress(OSError):  # gone, or another user's
            variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            if any(variable == mark or variable.startswith(mark + b"/") for variable in variables):
                found.append(process)
    return [process for process in found if not process.zombie]


def end(process: Process, number: int = signal.SIGKILL) -> None:
    """Send a signal to the process; it is no error if it is gone, or another has its pid by now."""
    now = find(process.pid)
    if now and now.started == process.started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


def end_descendants(*, but: Collection[int] = ()) -> None:
    """Kill every process below this one, but for the children `but` and those below them; return when they are gone.

    Whoever loses its parent on the way becomes a child of the next adopter above, so it is looked for again and again.
    """
    if _no_child(but):
        return
    deadline = time.monotonic() + _PATIENCE
    while (found := descendants(os.getpid(), but=but)) and time.monotonic() < deadline:
        for process in found:
            end(process)
        time.sleep(_STEP)
        _bury(found)


def _no_child(but: Collection[int]) -> bool:
    """Say whether this process has no child but those, by the kernel's own list (proc(5)): without all of /proc."""
    try:
        lists = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
    except OSError:  # a kernel without the lists, or a thread that has just ended
        return False
    return {int(pid) for pid in " ".join(lists).split()} <= set(but)


def _bury(dead: list[Process]) -> None:
    for process in dead:
        with contextlib.suppress(ChildProcessError):  # the child of another, or waited for elsewhere
            os.waitpid(process.pid, os.WNOHANG)
