"""Continue an interrupted trial from the last checkpoint that its earlier attempt left.

Only from one that gives the same curve to the last bit: made at an epoch's end with the same config, in a training of
one process that was to go on, and with no metric in the middle of its sum, as torchmetrics keeps those out of
checkpoints. Where the training has a length in steps, makes its loaders anew on its way, draws its data by a generator
of their own or in workers that outlive an epoch (fresh_workers.py has them not do so), is of double precision, has
unfrozen params on its way, or has a callback that changes it at its start or in its checkpoints, Lightning does not go
on as it would have gone.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune.config import config as configs
from litune.training import checkpoints, stand_ins
from litune.training.fresh_workers import FreshWorkers, can_renew, loaders
from litune.trial import CHECKPOINTS

KEY = "litune"  # of what a checkpoint says about itself
_SECTIONS = (
    "seed", "model", "data", "optimizer", "lr_scheduler", "criterion", "trainer", "callbacks", "objective",
)  # fmt: skip
_CHANGING = {"BatchSizeFinder", "LearningRateFinder", "ModelPruning"}  # callbacks, see above

# what torch.load raises of a damaged file, beside what a mark that is not ours leads to
_UNREADABLE = (
    OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, pickle.UnpicklingError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """A checkpoint to go on from, and what the trial had reported by then (step -> value)."""

    checkpoint: str
    history: dict[int, float]


class ResumeMarks:
    """Mark each checkpoint: what was trained (see fingerprint), and whether a training may go on from it.

    Lightning has a ReduceLROnPlateau step only after an epoch's checkpoints are written, and does not when it goes on
    from one: so the mark holds the values that such schedulers are to be given first.
    """

    def __init__(self, of: str) -> None:
        self._of, self._between_epochs = of, False
        self._due: list[float | None] = []
        self._trained: Any = None

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Note that an epoch has begun, and what the first one trains."""
        self._between_epochs = False
        self._trained = self._trained or _trained(trainer, module)

    def on_train_epoch_end(self, _trainer: Any, _module: Any) -> None:
        """Note that an epoch has ended; Lightning calls the ModelCheckpoints after all others."""
        self._between_epochs = True

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """Write the mark."""
        reset_next = {id(one.value) for one in trainer._results.values() if not one.is_tensor}
        summing = any(getattr(part, "update_called", False) and id(part) not in reset_next for part in module.modules())
        goes_on = self._between_epochs and not trainer.should_stop and not summing and _is_restored_exactly(trainer)
        goes_on = goes_on and self._trained == _trained(trainer, module)
        due = [_due(trainer, scheduler) for scheduler in trainer.lr_scheduler_configs]
        checkpoint[KEY] = {"of": self._of, "goes_on": goes_on, "due": due}

    def on_load_checkpoint(self, _trainer: Any, _module: Any, checkpoint: dict[str, Any]) -> None:
        """Take note of what schedulers wait for."""
        self._due = checkpoint.get(KEY, {}).get("due", [])

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Give it to them, all being restored."""
        for scheduler, value in zip(trainer.lr_scheduler_configs, self._due, strict=False):
            if value is not None:
                module.lr_scheduler_step(scheduler.scheduler, value)


def _trained(trainer: Any, module: Any) -> Any:
    """Return which params are trained, in how many groups: a continued training has those of the first epoch."""
    groups = [len(optimizer.param_groups) for optimizer in trainer.optimizers]
    return groups, [param.requires_grad for param in module.parameters()]


def _is_restored_exactly(trainer: Any) -> bool:
    """Whether Lightning, from a checkpoint of this training, goes on as the training itself would have gone on."""
    if trainer.world_size > 1 or trainer.max_steps != -1 or trainer.reload_dataloaders_every_n_epochs:
        return False
    if trainer.precision == "64-true":  # weights are restored, and rounded, before the model is made double
        return False
    if any(kind.__name__ in _CHANGING for callback in trainer.callbacks for kind in type(callback).__mro__):
        return False
    renewing = any(isinstance(callback, FreshWorkers) for callback in trainer.callbacks)
    return not any(_draws_on(loader, renewing) for loader in loaders(trainer))


def _draws_on(loader: Any, renewing: bool) -> bool:
    """Whether what a loader draws depends on the epochs before: that state is in no checkpoint."""
    if getattr(loader, "persistent_workers", False) and not (renewing and can_renew(loader)):
        return True
    batches = getattr(loader, "batch_sampler", None)
    parts = (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
    return any(getattr(part, "generator", None) for part in parts)


def _due(trainer: Any, scheduler: Any) -> float | None:
    value = trainer.callback_metrics.get(scheduler.monitor) if scheduler.reduce_on_plateau else None
    waits = scheduler.interval == "epoch" and (trainer.current_epoch + 1) % scheduler.frequency == 0
    return float(value) if waits and value is not None else None


def fingerprint(config: DictConfig) -> str:
    """Return a digest of all in a merged config that a training depends on."""
    stored = configs.stored(config)
    text = json.dumps({name: stored[name] for name in _SECTIONS}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def find(directory: Path, config: DictConfig) -> Continuation | None:
    """Return where the interrupted attempt in a trial's directory can be continued, latest first; None: nowhere.

    A checkpoint that cannot be read is passed over, and said on stderr.
    """
    of = fingerprint(config)
    found: list[tuple[int, Continuation]] = []
    for file in sorted((directory / CHECKPOINTS).glob("*.ckpt"), reverse=True):  # last.ckpt is the last written
        try:
            held = stand_ins.load(file, config)
            mark = held.get(KEY, {})
            if mark.get("of") != of or not mark["goes_on"]:
                continue
            history = {int(step): float(value) for step, value in held["callbacks"]["Report"]["history"]}
            found.append((int(held["epoch"]), Continuation(checkpoint=str(file), history=history)))
        except _UNREADABLE as error:
            why = checkpoints.reason(error)
            sys.stderr.write(f"{file} cannot be read ({why}); the trial goes on from an earlier epoch\n")
    return max(found, key=lambda one: one[0])[1] if found else None
