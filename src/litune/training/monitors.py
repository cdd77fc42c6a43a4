"""What callbacks and schedulers monitor: named, with the nearest metric, where the training does not log it.

Only Lightning knows when each of them looks, and what is logged by then. So it is asked by what it raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig

from litune.training.reporting import MetricMissing

_SAID = re.compile(  # of EarlyStopping and ReduceLROnPlateau, or of ModelCheckpoint
    r"conditioned on metric `?(?P<looked>.+?)`? which is not available"
    r"|ModelCheckpoint\(monitor='(?P<kept>.+?)'\)` could not find"
)


@contextmanager
def named(trainer: Any, config: DictConfig, lightning: Any) -> Iterator[None]:
    """Raise MetricMissing, with the key that says it, for a monitor that the training in the with statement lacks."""
    try:
        yield
    except (RuntimeError, lightning.utilities.exceptions.MisconfigurationException) as error:
        said = _SAID.search(str(error))
        if said is None:
            raise
        monitor = said["looked"] or said["kept"]
        keys = [key for key, value in _given(config) if value == monitor]
        asked = f"{keys[0]}={monitor}" if keys else f"monitor={monitor}, which the model's own code gives,"
        raise MetricMissing(f"{asked} was not logged", monitor, trainer.callback_metrics) from error


def _given(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the key and value of each monitor in the config."""
    sections = {f"callbacks.{name}": section for name, section in config.callbacks.items() if section}
    for key, section in {**sections, "lr_scheduler": config.lr_scheduler}.items():
        yield f"{key}.monitor", section.get("monitor")
