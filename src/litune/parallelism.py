"""How many trials run at once, and what that makes of the threads, the GPUs and the lag where they are not given."""

from __future__ import annotations

import math
import re

from omegaconf import DictConfig, ListConfig

from litune.algorithms.terms import PAUSING
from litune.workers import resources

LAG = 4  # docs/decisions/lag.md
_SPREAD = 4  # times the workers, where trials go in legs: an epoch of one takes much longer than one of another


def parallel_of(config: DictConfig) -> int:
    """Return how many trials run at once: as asked, else as the GPUs, or min(4, cores), are enough for."""
    devices = len(gpus_of(config.trainer)) or min(4, resources.cores())
    return config.search.parallel or max(1, devices // devices_a_trial(config.trainer))


def lag_of(config: DictConfig, algorithm: str) -> int:
    """Return how far behind a decision sees others: as asked, but enough for as many as run at once.

    By default `thaw` sees all but what can be running: what it does not see yet costs it much.
    """
    parallel = parallel_of(config)
    asked = config.search.lag or (min(parallel, LAG) if algorithm == "thaw" else LAG)
    if parallel <= asked:
        return int(asked)
    return parallel * (_SPREAD if algorithm in PAUSING and parallel > LAG else 1)


def first_lag_of(config: DictConfig, algorithm: str) -> int | None:
    """Return the lag of the first legs of trials, where a raised one is to be larger for them; None: it is lag_of().

    Nothing is known yet of how slow their params are, and the more of them are out, the slower is the slowest.
    """
    lag, parallel = lag_of(config, algorithm), parallel_of(config)
    first = parallel * math.isqrt(parallel)
    return first if algorithm in PAUSING and first > lag > (config.search.lag or LAG) else None


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
