"""The callbacks of every trial: one seeds each epoch, one reports each validation, one keeps the last epoch.

They are mixed with the Callback class of whichever Lightning the module is made of (`pytorch_lightning` or
`lightning.pytorch`), so this file imports neither.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from litune.errors import LituneError, nearest
from litune.seeds import stream
from litune.trial import Trial

_SELDOM = 1.0  # seconds between two checkpoints of epochs that are not the last


class BestEpoch:
    """Keep the best epoch. Mixed with Lightning's ModelCheckpoint, of which a model's own would displace another."""


class LastEpoch:
    """Write the checkpoint that a training is continued from, and end the leg. Mixed with Lightning's Checkpoint.

    Lightning calls the callbacks of that class after all others. The file holds the last epoch of the leg or training;
    before it, epochs are written that end a second or more after the one that was: what a killed trial can lose.
    """

    def __init__(self, file: Path, report: Report) -> None:
        self._file, self._report = file, report
        self._written = time.monotonic()

    def on_train_epoch_end(self, trainer: Any, _module: Any) -> None:
        """Write the epoch; then pause."""
        due = _is_last(trainer) or self._report.is_at_end or time.monotonic() - self._written >= _SELDOM
        if trainer.world_size > 1:
            due = trainer.strategy.broadcast(due)  # all ranks take part, whatever their clocks say
        if due and not trainer.fast_dev_run:
            trainer.save_checkpoint(self._file)
            self._written = time.monotonic()
        self._report.pause(trainer)


def _is_last(trainer: Any) -> bool:
    """Whether the training ends with the epoch that it is in."""
    epochs = trainer.fit_loop.epoch_progress.current.processed
    ends = 0 <= trainer.max_epochs <= epochs or 0 <= trainer.max_steps <= trainer.global_step
    return bool(trainer.should_stop or ends)


class MetricMissing(LituneError):
    """A metric that is asked for was not among those logged; `what` says who asks for it, and when."""

    def __init__(self, what: str, metric: str, logged: Iterable[str]) -> None:
        names = sorted(logged)
        alike = nearest(metric, names)
        hint = f"; did you mean {alike}?" if alike else ""
        super().__init__(f"{what}; logged: {', '.join(names) or 'nothing'}{hint}")


class EpochSeeds:
    """Seed each epoch from (seed, epoch), so that a continued training equals an uninterrupted one bit for bit.

    On resume Lightning makes the train iterator before on_train_start, and what a model draws there, or as the epoch
    begins, would not come where it came. So the first epoch of such a leg has its iterator made anew, by Lightning, at
    the place where the later ones have theirs made. Batch 0 is seeded again, after that.
    """

    def __init__(self, seed: int, seed_all: Callable[[int], Any]) -> None:
        self._seed, self._seed_all = seed, seed_all
        self._first = self._epoch = 0

    def on_fit_start(self, _trainer: Any, _module: Any) -> None:
        """Seed the first epoch of all, whose iterator is made before it starts."""
        self._epoch = self._first
        if self._first == 0:
            self._seed_all(stream(self._seed, 0))

    def on_train_epoch_start(self, trainer: Any, _module: Any) -> None:
        """Seed a later epoch."""
        self._epoch = trainer.current_epoch
        if self._epoch > 0:
            self._seed_all(stream(self._seed, self._epoch))
            trainer.fit_loop._resuming_from_checkpoint = False

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch that the checkpoint ends."""
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin with the epoch after the checkpoint's."""
        self._first = int(state["epoch"]) + 1

    def on_train_batch_start(self, trainer: Any, _module: Any, _batch: Any, batch_idx: int) -> None:
        """Seed what follows the making of the train iterator."""
        if batch_idx == 0:
            self._seed_all(stream(self._seed, trainer.current_epoch, 1))


class Report:
    """Report each validation to the trial, and stop by Lightning's flag when the trial says so.

    Without validation data it reports at the end of each training epoch. Its history goes into every checkpoint.
    """

    def __init__(self, trial: Trial, metric: str) -> None:
        self._trial, self._metric = trial, metric
        self.history: dict[int, float] = {}
        self.pruned = self.paused = self.diverged = False
        self.began: float | None = None  # its new part, by the monotonic clock; None: not yet, or there is none
        self._decided = False  # that the training stops: by `trainer.min_epochs` it may go on, for nothing

    def on_validation_end(self, trainer: Any, _module: Any) -> None:
        """Report a validation."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._report(trainer)

    def on_train_epoch_end(self, trainer: Any, _module: Any) -> None:
        """Report an epoch that has no validation."""
        batches = trainer.num_val_batches  # empty before the first validation
        if not trainer.enable_validation or (batches and sum(batches) == 0):
            self._report(trainer)

    def on_train_start(self, trainer: Any, _module: Any) -> None:
        """Train no further where the leg had reached its end, and was killed before it could say so."""
        self._note_where()
        self.pause(trainer)

    @property
    def is_at_end(self) -> bool:
        """Whether the leg has reached its end."""
        return self._trial.until is not None and len(self.history) >= self._trial.until

    def pause(self, trainer: Any) -> None:
        """End the leg if it has reached its end, unless the training ends there anyway."""
        if self.is_at_end and not _is_last(trainer):
            self.paused = trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued training must know of the earlier one."""
        return {"history": list(self.history.items())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the reports made before the checkpoint."""
        self.history = {int(step): float(value) for step, value in state["history"]}

    def _note_where(self) -> None:
        """Note when the training stands where an earlier leg ended: at once, unless it was begun again."""
        if self.began is None and len(self.history) >= self._trial.start:
            self.began = time.monotonic()

    def _report(self, trainer: Any) -> None:
        if self._decided:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if value.numel() == 1}
        if self._metric not in metrics:
            asked = f"objective.metric={self._metric} was not logged by the end of a validation"
            raise MetricMissing(asked, self._metric, metrics)
        step = len(self.history) + 1
        self.history[step] = metrics[self._metric]
        self._note_where()
        self.diverged = not math.isfinite(metrics[self._metric])
        if trainer.is_global_zero:
            self._trial.report(step, metrics)
            self.pruned = not self.diverged and self._trial.should_stop()
        stop = self.diverged or self.pruned
        # every rank must leave the loop in the same epoch, or the others wait for it for ever
        if trainer.world_size > 1:
            self.pruned = trainer.strategy.broadcast(self.pruned)
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            self._decided = trainer.should_stop = True
