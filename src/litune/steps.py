"""How many steps a training has, one for each validation, and how many a search may run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig


def steps_of(trainer: Mapping[str, Any] | DictConfig) -> int | None:
    """Return the most steps of a training with these arguments of the Trainer; None where only the training can tell.

    That is so where its length is not given in epochs, or it validates by batches or parts of an epoch.
    """
    epochs, every, interval = (trainer[key] for key in ("max_epochs", "check_val_every_n_epoch", "val_check_interval"))
    by_epochs = interval is None or (isinstance(interval, float) and interval == 1.0)  # 1 is each batch
    return max(1, int(epochs) // int(every)) if by_epochs and every and epochs not in (None, -1) else None


def trials_in_all(config: DictConfig) -> int:
    """Return how many whole trials the search may run."""
    epochs = config.search.budget.epochs
    return int(config.search.trials if epochs is None else max(1, epochs // max(1, config.trainer.max_epochs or 1)))


def steps_in_all(config: DictConfig) -> int:
    """Return how many steps the search may run, all legs together; 0 where no training can go in legs."""
    epochs = config.search.budget.epochs
    if epochs is None:
        return int(config.search.trials) * (steps_of(config.trainer) or 0)
    return max(1, int(epochs) // int(config.trainer.check_val_every_n_epoch or 1))
