"""Have each epoch of a training in legs load its data by workers that begin with it.

Workers that outlive an epoch (DataLoader's persistent_workers=True) draw on from where they were, and keep what their
copy of the dataset remembers. That is in no checkpoint: a training that had them could not be continued bit-equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader


class FreshWorkers:
    """End the workers of the epoch before, so that the next iterators make new ones. Mixed with Lightning's Callback.

    Lightning makes those of an epoch after its start is told, but for the first epoch of all, where they are new.
    """

    def __init__(self) -> None:
        self._is_told = False

    def on_train_epoch_start(self, trainer: Any, _module: Any) -> None:
        """Leave the loaders without workers."""
        for loader in loaders(trainer) if trainer.current_epoch > 0 else ():
            if can_renew(loader) and loader._iterator is not None:
                loader._iterator._shutdown_workers()
                loader._iterator = None
                self._tell()

    def _tell(self) -> None:
        if not self._is_told:
            why = "as a trial that may be paused could not be continued with those of an earlier one"
            print(f"each epoch begins with new workers in place of persistent ones, {why}", flush=True)
        self._is_told = True


def loaders(trainer: Any) -> Iterator[Any]:
    """Yield the loaders that a training trains and validates with."""
    for loop in (trainer.fit_loop, trainer.fit_loop.epoch_loop.val_loop):
        if loop._combined_loader is not None:
            yield from loop._combined_loader.flattened


def can_renew(loader: Any) -> bool:
    """Whether the loader keeps its workers where torch's own does: what wraps one may hide that place."""
    return isinstance(loader, DataLoader) and loader.persistent_workers
