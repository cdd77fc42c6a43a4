"""Whether a search's trials can be paused and continued (trained in legs), and what keeps them from it."""

from __future__ import annotations

from collections.abc import Iterator

from omegaconf import DictConfig

from litune.algorithms.terms import PAUSING
from litune.config.schema import DRAWING, STOPPING
from litune.errors import Problem
from litune.parallelism import devices_a_trial
from litune.space.space import Space
from litune.steps import steps_of

_USUAL = {"enable_checkpointing": True, "fast_dev_run": False, "max_steps": -1, "reload_dataloaders_every_n_epochs": 0}
_LENGTH = ("trainer.max_epochs", "trainer.check_val_every_n_epoch", "trainer.val_check_interval", "trainer.max_steps")


def check(config: DictConfig, space: Space) -> Iterator[Problem]:
    """Yield why the algorithm that is asked for by its name cannot run this search in legs."""
    algorithm = config.search.algorithm
    if algorithm not in PAUSING:
        return
    yield from hindrances(config, space, f"search.algorithm={algorithm}")
    if config.search.pruner != "none":
        expected = f"none beside search.algorithm={algorithm}, which pauses trials instead"
        yield Problem(key="search.pruner", got=repr(config.search.pruner), expected=expected)


def hindrances(config: DictConfig, space: Space, algorithm: str) -> Iterator[Problem]:
    """Yield what keeps trials from being paused and continued."""
    wants = f"beside {algorithm}, which pauses trials after an epoch and continues them from their checkpoints"
    trainer = config.trainer
    if config.function:
        expected = f"sections model and data {wants}"
        yield Problem(key="function", got="a function, which runs to its end", expected=expected)
    if trainer.max_epochs in (None, -1):
        yield Problem(key="trainer.max_epochs", got=repr(trainer.max_epochs), expected=f"a number {wants}")
    elif not config.function and steps_of(config) is None:
        got = repr(trainer.val_check_interval)
        yield Problem(key="trainer.val_check_interval", got=got, expected=f"1.0, at the end of an epoch, {wants}")
    for name, usual in _USUAL.items():
        if trainer[name] not in (None, usual):
            yield Problem(key=f"trainer.{name}", got=repr(trainer[name]), expected=f"{str(usual).lower()} {wants}")
    for name in ("min_epochs", "min_steps", "max_time"):
        if trainer[name] is not None:
            yield Problem(key=f"trainer.{name}", got=repr(trainer[name]), expected=f"null {wants}")
    if devices_a_trial(trainer) > 1:
        yield Problem(key="trainer.devices", got=str(trainer.devices), expected=f"1 {wants}")
    for name in _LENGTH:
        if name in space.names:
            yield Problem(key=name, got="a parameter", expected=f"a fixed length of the trainings {wants}")
    for name in (*DRAWING, *STOPPING):
        if config.backend.get(name) is not None:
            yield Problem(key=f"backend.{name}", got=repr(config.backend[name]), expected=f"null {wants}")
