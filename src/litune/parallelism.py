"""How many trials run at once, and what that makes of the threads, the GPUs and the lag where they are not given."""

from __future__ import annotations

import re

from omegaconf import DictConfig, ListConfig

from litune.algorithms.terms import PAUSING
from litune.workers import resources

LAG = 4  # docs/decisions/lag.md
_SPREAD = 4  # times the workers, where trials go in legs: an epoch of one takes much longer than one of another
_FIRST = 2  # times that for a trial's first leg: its params may be far slower than those that are continued


def parallel_of(config: DictConfig) -> int:
    """Return how many trials run at once: as asked, else as the GPUs, or min(4, cores), are enough for."""
    devices = len(gpus_of(config.trainer)) or min(4, resources.cores())
    return config.search.parallel or max(1, devices // devices_a_trial(config.trainer))


def lag_of(config: DictConfig, algorithm: str) -> int:
    """Return how far behind a decision sees others: as asked, but enough for as many as run at once."""
    asked, parallel = config.search.lag or LAG, parallel_of(config)
    if parallel <= asked:
        return int(asked)
    return parallel * (_SPREAD if algorithm in PAUSING else 1)


def first_lag_of(config: DictConfig, algorithm: str) -> int | None:
    """Return lag_of() for the first legs of trials, where it is raised; None: they have no lag of their own."""
    lag = lag_of(config, algorithm)
    return _FIRST * lag if algorithm in PAUSING and lag > (config.search.lag or LAG) else None


def threads_of(config: DictConfig) -> int:
    """Return the threads of a trial: as asked, else its part of the cores."""
    return config.search.threads or max(1, resources.cores() // parallel_of(config))


def gpus_of(trainer: DictConfig) -> list[str]:
    """Return the GPUs that the trials share, by the section `trainer`: those of the list, if `devices` is one."""
    found = resources.gpus() if trainer.accelerator in ("auto", "gpu", "cuda") else []
    if not isinstance(trainer.devices, ListConfig):
        return found
    asked = [int(part) for part in map(str, trainer.devices) if part.isdecimal()]
    return [found[index] for index in asked if index < len(found)]


def devices_a_trial(trainer: DictConfig) -> int:
    """Return how many devices one trial trains on; of what can be none, which environment.py tells, one."""
    devices = trainer.devices
    if str(devices) in ("auto", "-1"):
        return max(1, len(gpus_of(trainer)))
    if isinstance(devices, ListConfig):
        return len(devices)
    return int(devices) if re.fullmatch(r"\d+", str(devices)) else 1
