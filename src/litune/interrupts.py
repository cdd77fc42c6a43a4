"""Ctrl-C, SIGTERM and a hang-up of the terminal: the first ends the command in order, a second one at once.

The first raises KeyboardInterrupt in the main thread. That may be deep in a library that swallows it, or that waits in
C for something else: so a thread, which the kernel's signals reach by a pipe, ends everything when PATIENCE is over.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from litune import processes

INTERRUPTED = 130  # the exit code, as a shell has it for SIGINT
PATIENCE = 3.5  # seconds from the first signal to the end at any price
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONE = 0.3  # seconds: a terminal that closes sends its signal twice within milliseconds
_SHOW_CURSOR = b"\x1b[?25h"
_ours: dict[int, Callable[[int, object], None]] = {}
_before: list[Callable[[], object]] = []
_again = "continue with"  # what the command does when it is given once more
_of_thread = threading.local()
_received = threading.Event()
_raised = threading.Event()


def requested() -> bool:
    """Say whether somebody has asked this command to end."""
    return _received.is_set()


def stoppable(action: Callable[[], int], again: str = "continue with") -> int:
    """Carry out a command that can be interrupted, and return its exit code; when interrupted, leave no process.

    `again` says what the same command does then.
    """
    global _again
    _again = again
    try:
        with _watched():  # which may be interrupted as well
            return action()
    except BaseException as error:  # what a library makes of an interruption may be any exception
        if not requested() and not isinstance(error, KeyboardInterrupt):
            raise
    processes.end_descendants()
    print(_farewell(), file=sys.stderr, flush=True)
    for number in _SIGNALS:  # one that comes now would change the exit code, when Python ends
        signal.signal(number, signal.SIG_IGN)
    # `python -m` would end by SIGINT if the exception came within exec() of a text, as where a dataclass is defined
    eval("None")  # noqa: S307 - a constant; evaluating a text has Python forget that exception
    return INTERRUPTED


@contextlib.contextmanager
def outlasting() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end if one came meanwhile, whatever a library or a user's code has made of it.

    Lightning leaves by SystemExit, and has the next Ctrl-C ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # which is never interrupted
        yield
        return
    handlers = {int(number): handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        handlers[number](number, frame)

    try:
        for number in handlers:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came or requested():
        raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt again after an interruption, which a library may have swallowed."""
    if requested():
        raise KeyboardInterrupt


@contextlib.contextmanager
def preceded(action: Callable[[], object]) -> Iterator[None]:
    """Have this done as soon as an interruption comes: what is to be cleaned up after it may outlast PATIENCE."""
    _before.append(action)
    try:
        yield
    finally:
        if action in _before:  # else this is a fork
            _before.remove(action)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Have an interruption wait for the end of what is done meanwhile, which it would leave half done.

    Not by masking the signals: the kernel then gives them to another thread, and Python has their handlers interrupt
    the main thread all the same.
    """
    if threading.current_thread() is not threading.main_thread():  # which is never interrupted
        yield
        return
    handlers = {int(number): handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    came: list[int] = []
    over = False

    def hold(number: int, frame: FrameType | None) -> None:
        if over:  # before the handler itself is back
            handlers[number](number, frame)
        came.append(number)

    try:
        for number in handlers:
            signal.signal(number, hold)
        yield
    finally:
        over = True
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            handlers[number](number, None)


def command_line() -> str:
    """Return the command that runs now, as a person would type it again."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        words = ["python", "-m", program.parent.name]
    elif program.suffix == ".py":
        words = ["python", sys.argv[0]]
    else:
        words = [program.name]
    return shlex.join([*words, *sys.argv[1:]])


def _farewell() -> str:
    return f"interrupted; {_again}: {command_line()}"


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Have the signals noticed; once one came that lasts to the end of the process, which may hang as well."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as by nohup
            _ours[number] = _interrupt
            signal.signal(number, _interrupt)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_guard, args=(reader,), name="interrupts", daemon=True).start()
    try:
        yield
    finally:
        if not requested():
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            _ours.clear()
            os.close(writer)


def watched() -> bool:
    """Say whether signals are seen to here, not by a program that has called a search."""
    return bool(_ours)


def leave_to_parent() -> None:
    """Take this back in a forked child, whose parent sees to signals."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _fork_begins() -> None:
    _of_thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # what the child gets waits until it is ready


def _fork_ends() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _of_thread.mask)


def _forked() -> None:
    """Be an ordinary process, as a child that a trial's code has forked: its signals are not the search's."""
    if _ours:
        leave_to_parent()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _ours.clear()
        _before.clear()
    with contextlib.suppress(KeyboardInterrupt):  # none leaves a hook; who was interrupted with this child ends it
        _fork_ends()


os.register_at_fork(before=_fork_begins, after_in_parent=_fork_ends, after_in_child=_forked)


def _interrupt(_number: int, _frame: object) -> None:
    _received.set()
    if not _raised.is_set():
        _raised.set()
        try:
            for action in _before:
                action()
        finally:
            raise KeyboardInterrupt


def _guard(reader: int) -> None:
    deadline = first = float("inf")
    signalled = select.poll()  # not select(2), which knows 1,024 open files
    signalled.register(reader, select.POLLIN)
    while True:
        left = None if deadline == float("inf") else max(0.0, deadline - time.monotonic()) * 1000
        ready = signalled.poll(left)
        numbers = os.read(reader, 64) if ready else b""
        if ready and not numbers:
            os.close(reader)
            return
        now, came = time.monotonic(), any(number in _SIGNALS for number in numbers)
        if now >= deadline or (came and now > first + _ONE):
            _end_at_once()
        if came and first == float("inf"):
            _received.set()  # the main thread may be at work in C, or under a handler that a library has set
            threading.excepthook = lambda _: None  # of a library's thread that misses a process which is ended now
            first, deadline = now, now + PATIENCE


def _end_at_once() -> NoReturn:
    processes.end_descendants()
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)
        os.write(2, f"{_farewell()}\n".encode())
    os._exit(INTERRUPTED)
