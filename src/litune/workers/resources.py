"""What a trial's process may use, and how it ends with the one that started it."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

from litune import blas

_PR_SET_PDEATHSIG = 1
_OMP_PAUSE_HARD = 2
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel kill this process when its parent ends (prctl(2)); `parent` is the pid it must still have."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Take die_with_parent() back, for a process that notices by itself and has something to do first."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """Return the NVIDIA GPUs that may be used, without asking CUDA (a fork must find it untouched).

    They have CUDA's names (CUDA C++ Programming Guide, CUDA Environment Variables): UUIDs where CUDA_VISIBLE_DEVICES
    has them, as for a part of a GPU; else 0, 1, ... of those that are there, whatever the numbers of their devices, of
    which a container may have been given /dev/nvidia3 alone.
    """
    present = sum(node.name[6:].isdigit() for node in Path("/dev").glob("nvidia[0-9]*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(number) for number in range(present)]
    wanted = [part.strip() for part in visible.split(",")]
    known = itertools.takewhile(lambda part: _is_there(part, present), wanted)  # CUDA reads no further either
    return list(known)


def _is_there(name: str, present: int) -> bool:
    return int(name) < present if name.isdecimal() else name.startswith(("GPU-", "MIG-")) and present > 0


def use_threads(threads: int) -> None:
    """Hold this process and the processes it starts to so many threads, before its first operation on a tensor."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    blas.limit(threads)
    import torch

    torch.set_num_threads(threads)


def rest_threads() -> None:
    """End GNU OpenMP's idle threads, before a fork: the child has none of them, and would wait for them for ever.

    They are there as soon as anything was computed by several threads; the next such operation starts them again.
    """
    tasks = Path("/proc/self/task")
    if tasks.exists() and len(list(tasks.iterdir())) == 1:  # what follows takes milliseconds
        return
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    for library in {line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line}:  # torch's, scikit-learn's
        if pause := getattr(ctypes.CDLL(library), "omp_pause_resource_all", None):  # OpenMP 5, GCC 9
            pause(_OMP_PAUSE_HARD)


def use_devices(devices: tuple[str, ...] | None) -> None:
    """Show this process only those GPUs; None leaves things as they are."""
    if devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)


def use_memory(gigabytes: float | None) -> None:
    """Let this process take so much more memory than it has now; beyond that allocations fail (setrlimit(2), DATA)."""
    if gigabytes is None:
        return
    has = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    most = int(has.split()[1]) * 1024 + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process group; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


@contextlib.contextmanager
def alarm(trial: float | None, search: float | None = None) -> Iterator[None]:
    """Raise TimeoutError in the main thread after so many seconds, for a trial or for the search; None means never."""
    ends = [(seconds, key) for seconds, key in ((trial, "trial_timeout"), (search, "timeout")) if seconds is not None]
    if not ends:
        yield
        return
    seconds, key = min(ends)

    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError(f"the trial ran longer than the {seconds:g} s that search.{key} left it")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
