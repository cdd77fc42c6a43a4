"""One trial as a seeded Lightning training: the one place that imports torch and Lightning."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import socket
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from litune import config as configs
from litune import targets
from litune.reporting import EpochSeeds, Report
from litune.retune import Retune
from litune.trial import CHECKPOINTS, Failure, FailureClass, Outcome, Trial, TrialState

# Lightning 2.6 asks torch's pytree in a way that torch >= 2.9 deprecates; nothing that a user could change
warnings.filterwarnings("ignore", message="`isinstance\\(treespec, LeafSpec\\)`", category=FutureWarning)


def run_trial(config: DictConfig, trial: Trial) -> Outcome:
    """Train once, as the merged config says, and return how it ended. What the user's code raises is not caught."""
    started = time.monotonic()
    config = targets.typed(config)
    objective = configs.objective(config)
    lightning = lightning_of(config)
    logging.getLogger(lightning.__name__).setLevel(logging.WARNING)  # its advertisements and its goodbye
    seed_everything = functools.partial(lightning.seed_everything, workers=True, verbose=False)
    seed_everything(config.seed)
    module = build_module(config)
    data = targets.instantiate(config.data) if config.data else None
    report = _with_callback(lightning, Report)(trial, objective.metric)
    seeds = _with_callback(lightning, EpochSeeds)(config.seed, seed_everything)
    checkpoints, callbacks = build_callbacks(config, lightning, trial.directory)
    continued = [_with_callback(lightning, Retune)(configs.plain(config.optimizer))] if trial.checkpoint else []
    trainer = build_trainer(config, lightning, trial, [seeds, report, *continued, *callbacks])
    if trial.checkpoint:
        trainer.fit(module, datamodule=data, ckpt_path=trial.checkpoint, weights_only=True)
    else:
        trainer.fit(module, datamodule=data)
    state, failure = _ending(report, objective.metric)
    score = None
    if failure is None:
        score = objective.score(report.history)
    return Outcome(
        state=state,
        score=score,
        history=report.history,
        failure=failure,
        seconds=time.monotonic() - started,
        where=f"{socket.gethostname()}:{os.getpid()}",
        checkpoint=checkpoints.best_model_path or None if checkpoints else None,
    )


def load_ahead(config: DictConfig) -> None:
    """Load the data, and what a first fit would import, so that processes forked from this one share the pages."""
    if any("TensorBoardLogger" in section._target_ for section in config.logger.values() if section):
        importlib.import_module("torch.utils.tensorboard")
        importlib.import_module("tensorboard.summary")
        importlib.import_module("tensorboard.plugins.hparams.metadata")
    importlib.import_module("torch.utils.serialization.config")  # writing a checkpoint
    importlib.import_module("fsspec.implementations.local")
    importlib.import_module("fsspec.implementations.chained")
    if config.data:
        data = targets.instantiate(config.data)
        data.prepare_data()
        data.setup("fit")


def _ending(report: Report, metric: str) -> tuple[TrialState, Failure | None]:
    if not report.history:
        message = f"the training ended before a first validation, so {metric} was never reported"
        return TrialState.FAILED, Failure(kind=FailureClass.NO_METRIC, message=message)
    if report.diverged:
        step, value = list(report.history.items())[-1]
        message = f"{metric} was {value} at validation {step}"
        return TrialState.FAILED, Failure(kind=FailureClass.NAN, message=message)
    if report.pruned:
        return TrialState.PRUNED, None
    return (TrialState.PAUSED if report.paused else TrialState.COMPLETE), None


def lightning_of(config: DictConfig) -> Any:
    """Return the Lightning package that the model is made of: `pytorch_lightning` or `lightning.pytorch`."""
    model = targets.locate(config.model._target_)
    bases = {base.__module__.partition(".core")[0] for base in getattr(model, "__mro__", ())}
    return importlib.import_module("lightning.pytorch" if "lightning.pytorch" in bases else "pytorch_lightning")


def build_module(config: DictConfig) -> Any:
    """Return the model with its criterion, optimizer and scheduler as the config says."""
    extra = {"criterion": targets.instantiate(config.criterion)} if config.criterion else {}
    module = targets.instantiate(config.model, **extra)
    if config.optimizer:
        module.configure_optimizers = functools.partial(configure_optimizers, module, config)
    return module


def configure_optimizers(module: Any, config: DictConfig) -> Any:
    """Return what Lightning's configure_optimizers returns, from the sections `optimizer` and `lr_scheduler`."""
    optimizer = targets.instantiate(config.optimizer, params=module.parameters())
    if not config.lr_scheduler:
        return optimizer
    section = configs.plain(config.lr_scheduler)
    options = {name: section.pop(name) for name in targets.SCHEDULER_OPTIONS if name in section}
    scheduler = targets.locate(section["_target_"])
    if scheduler is torch.optim.lr_scheduler.OneCycleLR and not {"total_steps", "epochs"} & set(section):
        section["total_steps"] = int(module.trainer.estimated_stepping_batches)
        options.setdefault("interval", "step")
    if scheduler is torch.optim.lr_scheduler.ReduceLROnPlateau:
        options.setdefault("monitor", config.objective.metric)
    built = targets.instantiate(section, optimizer=optimizer)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": built, **options}}


def build_callbacks(config: DictConfig, lightning: Any, directory: Path) -> tuple[Any, list[Any]]:
    """Return the ModelCheckpoint that keeps the best epoch (None if checkpointing is off), and all callbacks."""
    dirpath = str(directory / CHECKPOINTS)
    built = [
        targets.instantiate(section, **_absent(section, {"dirpath": dirpath}))
        for section in config.callbacks.values()
        if section
    ]
    kept = [callback for callback in built if isinstance(callback, lightning.callbacks.ModelCheckpoint)]
    if not kept:
        checkpoint = functools.partial(
            lightning.callbacks.ModelCheckpoint, dirpath=dirpath, enable_version_counter=False
        )
        best = checkpoint(filename="{epoch}", monitor=config.objective.metric, mode=config.objective.mode)
        # not by save_last: Lightning then writes last.ckpt only after an epoch that was the best so far
        kept = [best, checkpoint(filename="last")]
        built += kept
    return kept[0], built


def build_trainer(config: DictConfig, lightning: Any, trial: Trial, callbacks: list[Any]) -> Any:
    """Return the Trainer; what the config leaves out is quiet."""
    options = configs.plain(config.trainer)
    loggers = [
        targets.instantiate(section, **_absent(section, _logger_defaults(trial, name)))
        for name, section in config.logger.items()
        if section
    ]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    return lightning.Trainer(
        **{**quiet, **options}, default_root_dir=str(trial.directory), callbacks=callbacks, logger=loggers
    )


def _logger_defaults(trial: Trial, name: str) -> dict[str, Any]:
    return {"save_dir": str(trial.directory), "name": "", "version": name}


def _absent(section: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    accepted = targets.arguments(section["_target_"])
    return {name: value for name, value in defaults.items() if name in accepted and name not in section}


def _with_callback(lightning: Any, hooks: type) -> type:
    return type(hooks.__name__, (hooks, lightning.Callback), {"__doc__": hooks.__doc__})
