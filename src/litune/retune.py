"""Give a continued training the optimizer options of its config, where its checkpoint was made with others.

Lightning restores an optimizer with the options it had. Where they are the config's own, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Retune:
    """Mixed with Lightning's Callback, like those of reporting.py. `options` is the config's section `optimizer`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = {name: value for name, value in options.items() if name != "_target_"}

    def on_train_start(self, trainer: Any, _module: Any) -> None:
        """Set the options, after the checkpoint was restored; a scheduled learning rate keeps its place in the course."""
        for optimizer in trainer.optimizers if self._options else ():
            for group in optimizer.param_groups:
                _set_options(group, self._options)
        for config in trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            if hasattr(scheduler, "base_lrs"):
                scheduler.base_lrs = [group["initial_lr"] for group in scheduler.optimizer.param_groups]


def _set_options(group: dict[str, Any], options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name == "lr":
            base = group.get("initial_lr", group["lr"])
            if base != value:
                group["lr"] = group["lr"] * (value / base) if "initial_lr" in group else value
                group.update({"initial_lr": value} if "initial_lr" in group else {})
        elif name in group:
            group[name] = tuple(value) if isinstance(value, list) else value
