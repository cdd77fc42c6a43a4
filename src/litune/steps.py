"""How many steps a training has, one for each validation, and how many a search may run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig


def steps_of(config: Mapping[str, Any] | DictConfig) -> int | None:
    """Return the most steps that a training can have; None where only the training can tell.

    That is so for a function, where its length is not given in epochs, and where it validates by batches or parts of
    an epoch.
    """
    epochs, every = config["trainer"]["max_epochs"], config["trainer"]["check_val_every_n_epoch"]
    told = not config["function"] and _by_epochs(config) and epochs not in (None, -1)
    return max(1, int(epochs) // int(every)) if told else None


def step_name(config: Mapping[str, Any] | DictConfig) -> str:
    """Return what a person calls a step: epoch where that is what it is."""
    if config["function"]:
        return "step"
    return "epoch" if _by_epochs(config) and config["trainer"]["check_val_every_n_epoch"] == 1 else "validation"


def _by_epochs(config: Mapping[str, Any] | DictConfig) -> bool:
    every, interval = config["trainer"]["check_val_every_n_epoch"], config["trainer"]["val_check_interval"]
    return bool(every) and (interval is None or (isinstance(interval, float) and interval == 1.0))  # 1 is each batch


def trials_in_all(config: DictConfig) -> int:
    """Return how many whole trials the search may run."""
    epochs = config.search.budget.epochs
    return int(config.search.trials if epochs is None else max(1, epochs // max(1, config.trainer.max_epochs or 1)))


def steps_in_all(config: DictConfig) -> int:
    """Return how many steps the search may run, all legs together; 0 where no training can go in legs."""
    epochs = config.search.budget.epochs
    if epochs is None:
        return int(config.search.trials) * (steps_of(config) or 0)
    return max(1, int(epochs) // int(config.trainer.check_val_every_n_epoch or 1))
