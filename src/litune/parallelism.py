"""How many trials run at once, and what that makes of the threads, the GPUs and the lag where they are not given."""

from __future__ import annotations

from omegaconf import DictConfig

from litune.workers import limits

LAG = 4  # docs/decisions/lag.md


def parallel_of(config: DictConfig) -> int:
    """Return how many trials run at once: as asked, else as the GPUs, or min(4, cores), are enough for."""
    devices = len(gpus_of(config)) or min(4, limits.cores())
    return config.search.parallel or max(1, devices // devices_a_trial(config))


def lag_of(config: DictConfig) -> int:
    """Return how far behind its own number a trial sees others: as asked, but at least as many as run at once."""
    return max(config.search.lag or LAG, parallel_of(config))


def threads_of(config: DictConfig) -> int:
    """Return the threads of a trial: as asked, else its part of the cores."""
    return config.search.threads or max(1, limits.cores() // parallel_of(config))


def gpus_of(config: DictConfig) -> list[int]:
    """Return the GPUs that the trials share."""
    return [] if config.trainer.accelerator == "cpu" else limits.gpus()


def devices_a_trial(config: DictConfig) -> int:
    """Return how many devices one trial trains on."""
    devices = config.trainer.devices
    if str(devices) in ("auto", "-1"):
        return max(1, len(gpus_of(config)))
    return int(devices) if isinstance(devices, (int, str)) else len(devices)
