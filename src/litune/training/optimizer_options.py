"""Give a continued training the optimizer options of its config, where its checkpoint was made with others.

Lightning restores an optimizer with the options it had. Where they are the config's own, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litune.training.resume import KEY

_SCHEDULED = ("max_lr", "min_lr")  # what OneCycleLR and CyclicLR keep in a group, besides initial_lr


class OptimizerOptions:
    """Mixed with Lightning's Callback, like those of reporting.py. `options` is the config's section `optimizer`.

    `of` is the fingerprint of the config: a checkpoint with the same one is left as it is.
    """

    def __init__(self, options: Mapping[str, Any], of: str) -> None:
        self._of = of
        self._options = {name: value for name, value in options.items() if name != "_target_"}
        self._fresh: list[list[dict[str, Any]]] = []

    def on_load_checkpoint(self, _trainer: Any, _module: Any, checkpoint: Mapping[str, Any]) -> None:
        """Keep what is restored where the config is the same."""
        if checkpoint.get(KEY, {}).get("of") == self._of:
            self._options = {}

    def on_fit_start(self, trainer: Any, _module: Any) -> None:
        """Note the options of the optimizers as the config makes them, before the checkpoint is restored."""
        self._fresh = [[dict(group) for group in optimizer.param_groups] for optimizer in trainer.optimizers]

    def on_train_start(self, trainer: Any, _module: Any) -> None:
        """Set the options, after the checkpoint was restored; a scheduled learning rate keeps its place."""
        for optimizer, fresh in zip(trainer.optimizers, self._fresh, strict=True) if self._options else ():
            for group, made in zip(optimizer.param_groups, fresh, strict=True):
                _set_options(group, made, self._options)
        for config in trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            if hasattr(scheduler, "base_lrs"):
                scheduler.base_lrs = [group["initial_lr"] for group in scheduler.optimizer.param_groups]


def _set_options(group: dict[str, Any], made: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    cycled = ("betas", "momentum") if "max_momentum" in group else ()  # theirs is the schedule's, and moves
    for name, value in options.items():
        if name == "lr":
            _set_lr(group, made)
        elif name in group and name not in cycled:
            group[name] = tuple(value) if isinstance(value, list) else value


def _set_lr(group: dict[str, Any], made: Mapping[str, Any]) -> None:
    base = "initial_lr" if "initial_lr" in group else "lr"
    if group[base] == made[base]:
        return
    group["lr"] *= made[base] / group[base]
    group.update({name: made[name] for name in (base, *_SCHEDULED) if name in made and name != "lr"})
