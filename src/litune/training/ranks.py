"""Several processes for one training on several devices (ddp and its kind), forked from the one that was given it.

Lightning would start them by running the command line again, which is that of the whole search; or, with its fork and
spawn strategies, train in children only, so that what the callbacks saw were lost. Here this process is rank 0, and
the others find its module and its data as they are forked. They meet in a file, and talk over the loopback device.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig

from litune.errors import LituneError
from litune.parallelism import devices_a_trial
from litune.workers import resources

T = TypeVar("T")
_RANK = "LOCAL_RANK"  # set: the processes exist, as torchrun and Lightning agreed
_used = False  # whether this process has trained
_PATIENCE = 5.0  # seconds for the other ranks to end, or to say what ended them


class RankFailed(LituneError):
    """Another rank of the training failed."""


@dataclass(frozen=True, kw_only=True)
class _Peer:
    pid: int
    said: Path  # where it writes what it failed with


def count(trainer: DictConfig) -> int:
    """Return how many processes the training needs that are not there yet."""
    if _RANK in os.environ or trainer.num_nodes > 1:
        return 1  # started by torchrun, SLURM or the like
    return devices_a_trial(trainer)


def trainer_options(trainer: DictConfig, lightning: Any) -> dict[str, Any]:
    """Return the Trainer's options in a process that together() has made one of several."""
    if not torch.distributed.is_initialized():
        return {}
    environments = importlib.import_module(f"{lightning.__name__}.plugins.environments")
    strategy = re.sub(r"_(fork|spawn|notebook)(?=_|$)", "", trainer.strategy)  # the processes are there
    return {"strategy": strategy, "plugins": [environments.LightningEnvironment()]}


def together(ranks: int, work: Callable[[], T]) -> T:
    """Do the work in so many processes, of which this is rank 0, and return what it returned here.

    Raises RankFailed with what another rank raised, where this one only missed it. The ranks share this one's threads.
    """
    global _used
    _used, used_before = True, _used
    if ranks == 1:
        return work()
    if used_before:  # threads of OpenMP and contexts of CUDA do not survive a fork
        raise RankFailed("a process that has trained cannot be forked into ranks; choose backend=optuna")
    torch.set_num_threads(max(1, torch.get_num_threads() // ranks))
    with tempfile.TemporaryDirectory(prefix="litune-") as folder:
        peers = [_fork(rank, ranks, Path(folder), work) for rank in range(1, ranks)]
        patience = 0.0
        try:
            with _joined(0, ranks, Path(folder)):
                result = work()
            patience = _PATIENCE
        except RuntimeError as error:
            if _is_lost_peer(error) and (said := _first_words(peers)):
                raise RankFailed(said) from error
            raise
        finally:
            _end(peers, patience)
    return result


def _is_lost_peer(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or bool(re.search("gloo|nccl", str(error), re.IGNORECASE))


@contextlib.contextmanager
def _joined(rank: int, ranks: int, folder: Path) -> Iterator[None]:
    os.environ[_RANK] = str(rank)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    rank_zero_only.rank = rank  # type: ignore[attr-defined] # set so by Lightning too
    devices = "cpu:gloo,cuda:nccl" if resources.gpus() else "gloo"
    meeting = f"file://{folder}/meeting"
    torch.distributed.init_process_group(devices, init_method=meeting, rank=rank, world_size=ranks)
    try:
        yield
    finally:
        del os.environ[_RANK]
        torch.distributed.destroy_process_group()


def _fork(rank: int, ranks: int, folder: Path, work: Callable[[], object]) -> _Peer:
    said = folder / f"rank-{rank}.txt"
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_peer(rank, ranks, folder, work, said, parent)
    return _Peer(pid=pid, said=said)


def _be_peer(rank: int, ranks: int, folder: Path, work: Callable[[], object], said: Path, parent: int) -> NoReturn:
    status = 1
    try:
        resources.die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # rank 0 is interrupted, and ends this process
        with _joined(rank, ranks, folder):
            work()
        status = 0
    except BaseException:  # noqa: BLE001 - this process's edge: rank 0 is told
        said.with_suffix(".part").write_text(f"rank {rank}: {traceback.format_exc()}")
        said.with_suffix(".part").rename(said)
    finally:
        os._exit(status)


def _first_words(peers: list[_Peer]) -> str:
    """Return what a peer failed with, if one did so of its own; waits a little for it to say so."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        told = [peer.said for peer in peers if peer.said.exists()]
        if told:
            return min(told, key=lambda path: path.stat().st_mtime_ns).read_text().strip()
        time.sleep(0.05)
    return ""


def _end(peers: list[_Peer], patience: float) -> None:
    until = time.monotonic() + patience
    for peer in peers:
        while os.waitpid(peer.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() >= until:
                os.kill(peer.pid, signal.SIGKILL)
            time.sleep(0.01)
