"""What can be told to be wrong with a search through Ray before Ray starts, and what a trial holds of it."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator

from omegaconf import DictConfig

from litune.errors import InputError, MissingExtra, Problem
from litune.parallelism import LAG, devices_a_trial, gpus_of, parallel_of, threads_of
from litune.space.space import Space

_CONNECT = 2.0  # seconds
_OF_THE_DASHBOARD = ("aiohttp", "aiohttp_cors", "grpc", "opencensus", "prometheus_client")  # ray[default]


def check(config: DictConfig, space: Space) -> None:
    """Raise InputError for a search that Ray could not run as asked; imports Ray only if it is asked for its own."""
    if config.backend.dashboard and any(importlib.util.find_spec(name) is None for name in _OF_THE_DASHBOARD):
        raise MissingExtra("ray-dashboard", "backend.dashboard=true")
    problems = [*_resources(config), *_waiting(config), *_address(config.backend.address)]
    if problems:
        raise InputError(problems)
    if config.backend.searcher is not None or config.backend.scheduler is not None:
        from litune.backends.ray import native

        native.searcher(config, space)
        native.scheduler(config, space)


def share_of(config: DictConfig) -> dict[str, float]:
    """Return what of Ray's resources a trial holds: as asked, else its threads, and its part of this machine's GPUs.

    That is so many as it trains on, or less than one where more trials run at once than there are GPUs.
    """
    gpus, wanted = len(gpus_of(config.trainer)), devices_a_trial(config.trainer)
    share = {"cpu": float(threads_of(config))}
    if gpus:
        share["gpu"] = float(wanted) if wanted > 1 else min(1.0, gpus / parallel_of(config))
    for name, amount in (config.backend.resources_per_trial or {}).items():
        share[name.lower() if name.lower() in ("cpu", "gpu") else name] = float(amount)
    return share


def _resources(config: DictConfig) -> Iterator[Problem]:
    """Yield what is wrong with the resources of a trial and of the cluster."""
    asked = config.backend.resources_per_trial or {}
    wrong = [(name, amount) for name, amount in asked.items() if not _is_amount(amount)]
    for name, amount in wrong:
        yield Problem(key=f"backend.resources_per_trial.{name}", got=repr(amount), expected="a number, at least 0")
    if wrong:
        return
    share, settings = share_of(config), config.backend
    if settings.address is not None:
        yield from (
            Problem(key=f"backend.{name}", got=repr(settings[name]), expected="null beside backend.address")
            for name in ("num_cpus", "num_gpus")
            if settings[name] is not None
        )
        return
    for name in ("cpu", "gpu"):
        given, held = settings[f"num_{name}s"], share.get(name, 0.0)
        if given is not None and given < held:
            expected = f"at least {held:g}, which one trial holds"
            yield Problem(key=f"backend.num_{name}s", got=repr(given), expected=expected)


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _address(address: str | None) -> Iterator[Problem]:
    """Yield what is wrong with an address; which one auto is, only Ray can tell."""
    if address in (None, "auto"):
        return
    if why := unanswered(str(address)):
        expected = "the address of a running Ray cluster: auto, HOST:6379 or ray://HOST:10001"
        yield Problem(key="backend.address", got=repr(address), expected=expected, cure=why)


def unanswered(address: str) -> str:
    """Return why nothing can be had at the address, "" if something answers; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    try:
        if not colon:
            raise ValueError("it has no port")
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT).close()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _waiting(config: DictConfig) -> Iterator[Problem]:
    """Yield what a scheduler of Ray's cannot have beside it: a pruner, or a lag by which trials wait for others."""
    scheduler, search = config.backend.scheduler, config.search
    if scheduler is None:
        return
    if search.pruner != "none":
        expected = "none, as backend.scheduler stops trials"
        yield Problem(key="search.pruner", got=search.pruner, expected=expected)
    name = scheduler if isinstance(scheduler, str) else scheduler.get("name") or scheduler.get("_target_") or ""
    together = any(word in str(name).lower() for word in ("pbt", "pb2", "hyperband", "population"))
    together &= not any(word in str(name).lower() for word in ("asha", "asynchyperband"))
    if together and config.backend.searcher is None and (search.lag or LAG) < search.trials:
        expected = f"at least {search.trials}: with {name} no trial may wait for another's end before it starts"
        cure = f"search.lag={search.trials}"
        yield Problem(key="search.lag", got=repr(search.lag), expected=expected, cure=cure)
