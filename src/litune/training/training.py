"""One trial as a seeded Lightning training."""

from __future__ import annotations

import functools
import importlib
import logging
import math
import os
import random
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from litune.algorithms.terms import PAUSING
from litune.config import config as configs
from litune.errors import InputError
from litune.objective import Objective
from litune.targets import functions, lightning_packages, targets
from litune.targets.locate import locate
from litune.training import loggers, monitors, ranks, stand_ins
from litune.training.fresh_workers import FreshWorkers
from litune.training.optimizer_options import OptimizerOptions
from litune.training.reporting import BestEpoch, EpochSeeds, LastEpoch, Report
from litune.training.resume import ResumeMarks, fingerprint
from litune.trial import CHECKPOINTS, Failure, FailureClass, Outcome, Trial, TrialState, this_process

# Lightning 2.6 asks torch's pytree in a way that torch >= 2.9 deprecates; nothing that a user could change
warnings.filterwarnings("ignore", message="`isinstance\\(treespec, LeafSpec\\)`", category=FutureWarning)


def run_trial(config: DictConfig, trial: Trial) -> Outcome:
    """Train once, as the merged config says, and return how it ended. What the user's code raises is not caught."""
    if config.function:
        return functions.run(config, trial)
    started = time.monotonic()
    made_of = loggers.hyperparameters(config, trial.params)
    of = fingerprint(config)
    if trial.checkpoint:
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    config = targets.typed(config)
    outcome = ranks.together(ranks.count(config.trainer), lambda: _train(config, trial, made_of, of))
    return replace(outcome, seconds=time.monotonic() - started)


def _seed(seed: int) -> None:
    """Seed Python, NumPy and torch, as Lightning's seed_everything does."""
    random.seed(seed)
    np.random.seed(seed)
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # which would note, with the stack of calls, a seed for each kind of device that is not there
        torch.default_generator.manual_seed(seed)


def _train(config: DictConfig, trial: Trial, made_of: Mapping[str, Any], of: str) -> Outcome:
    started = time.monotonic()
    objective = configs.objective(config)
    lightning = lightning_of(config)
    os.environ |= {"PL_GLOBAL_SEED": str(config.seed), "PL_SEED_WORKERS": "1"}  # of seed_everything(workers=True)
    _seed(config.seed)
    module = build_module(config)
    data = build_data(config)
    report = with_callback(lightning, Report)(trial, objective.metric)
    seeds = with_callback(lightning, EpochSeeds)(config.seed, _seed)
    marks = with_callback(lightning, ResumeMarks)(of)
    fresh = [with_callback(lightning, FreshWorkers)()] if config.search.algorithm in PAUSING else []
    told = with_callback(lightning, loggers.Hyperparameters)(
        made_of, trial.params, objective.metric, lambda: _score(report, objective)
    )
    checkpoints, callbacks = build_callbacks(config, lightning, trial.directory, report)
    continued = (
        [with_callback(lightning, OptimizerOptions)(configs.plain(config.optimizer), of)] if trial.checkpoint else []
    )
    with stand_ins.readable(trial.checkpoint, config) as reading, loggers.opened(config, trial) as opened:
        restored = with_callback(lightning, stand_ins.Restored)(reading)
        callbacks = [restored, *fresh, seeds, report, marks, told, *continued, *callbacks]
        trainer = build_trainer(config, lightning, trial.directory, opened, callbacks)
        continuing = {"ckpt_path": trial.checkpoint, "weights_only": True} if trial.checkpoint else {}
        with monitors.named(trainer, config, lightning):
            trainer.fit(module, datamodule=data, **continuing)
    state, failure = _ending(report, objective.metric)
    return Outcome(
        state=state,
        score=None if failure else objective.score(report.history),
        history=report.history,
        failure=failure,
        restoring=report.began - started if (trial.checkpoint or trial.start) and report.began else 0.0,
        where=this_process(),
        checkpoint=checkpoints.best_model_path or None if checkpoints else None,
    )


def _score(report: Report, objective: Objective) -> float:
    return objective.score(report.history) if report.history and not report.diverged else math.nan


def load_ahead(config: DictConfig) -> None:
    """Load the data, and what a first fit would import, so that processes forked from this one share the pages."""
    if config.function:
        functions.load(config)
        importlib.import_module("pytorch_lightning")  # which seeds it
        return
    if any("TensorBoardLogger" in section._target_ for section in config.logger.values() if section):
        importlib.import_module("torch.utils.tensorboard")
        importlib.import_module("tensorboard.summary")
        importlib.import_module("tensorboard.plugins.hparams.metadata")
    if any("WandbLogger" in section._target_ for section in config.logger.values() if section):
        importlib.import_module("wandb")
    lightning_of(config)
    importlib.import_module("torch.utils.serialization.config")  # writing a checkpoint
    importlib.import_module("fsspec.implementations.local")
    importlib.import_module("fsspec.implementations.chained")
    if (data := build_data(config)) is not None:
        try:
            data.prepare_data()
            data.setup("fit")
        except AttributeError as error:
            if error.obj is not None:
                raise
            # asked of its trainer, perhaps, which only a trial gives it; if not, the first trial tells


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
    """Return the Lightning package that the model is made of, quiet: `pytorch_lightning` or `lightning.pytorch`."""
    lightning = importlib.import_module(lightning_packages.of_model(config.model._target_))
    logger = logging.getLogger(lightning.__name__)
    if logger.level != logging.WARNING:  # setting it goes through every logger that there is
        logger.setLevel(logging.WARNING)  # without its advertisements and its goodbye
    return lightning


def build_module(config: DictConfig) -> Any:
    """Return the model with its criterion, optimizer and scheduler as the config says."""
    extra = {"criterion": targets.instantiate(config.criterion)} if config.criterion else {}
    module = targets.instantiate(config.model, **extra)
    if config.trainer.compile:
        module.compile(mode=None if config.trainer.compile is True else config.trainer.compile)
    if config.optimizer:
        module.configure_optimizers = functools.partial(configure_optimizers, module, config)
    return module


def build_data(config: DictConfig) -> Any:
    """Return the data as the config says, None for none; raise InputError where a function gives something else."""
    if not config.data:
        return None
    data = targets.instantiate(config.data)
    got = f"{config.data._target_}, which gives a {type(data).__name__}"
    if problem := targets.misplaced(type(data), "data", got):
        raise InputError(problem)
    return data


def configure_optimizers(module: Any, config: DictConfig) -> Any:
    """Return what Lightning's configure_optimizers returns, from the sections `optimizer` and `lr_scheduler`."""
    optimizer = targets.instantiate(config.optimizer, params=module.parameters())
    if not config.lr_scheduler:
        return optimizer
    section = configs.plain(config.lr_scheduler)
    options = {name: section.pop(name) for name in targets.SCHEDULER_OPTIONS if name in section}
    scheduler = locate(section["_target_"])
    if scheduler is torch.optim.lr_scheduler.OneCycleLR and not {"total_steps", "epochs"} & set(section):
        section["total_steps"] = int(module.trainer.estimated_stepping_batches)
        options.setdefault("interval", "step")
    if scheduler is torch.optim.lr_scheduler.ReduceLROnPlateau:
        monitor = options.setdefault("monitor", config.objective.metric)
        if monitor == config.objective.metric:
            section.setdefault("mode", config.objective.mode)
    built = targets.instantiate(section, optimizer=optimizer)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": built, **options}}


def build_callbacks(config: DictConfig, lightning: Any, directory: Path, report: Report) -> tuple[Any, list[Any]]:
    """Return the ModelCheckpoint that says which epoch was the best (None if there is none), and all callbacks.

    Beside those of the config there is one that keeps the last epoch, for a training to be continued from; and one that
    keeps the best, unless the config has a ModelCheckpoint that watches the objective.
    """
    folder = directory / CHECKPOINTS
    built = [
        targets.instantiate(_placed(section, folder / name)) for name, section in config.callbacks.items() if section
    ]
    if config.trainer.enable_checkpointing is False:
        return None, built
    watched = {"monitor": config.objective.metric, "mode": config.objective.mode}
    users = [callback for callback in built if isinstance(callback, lightning.callbacks.ModelCheckpoint)]
    best = next((callback for callback in users if watched.items() <= vars(callback).items()), None)
    if best is None:
        best_epoch = {"dirpath": str(folder), "filename": "{epoch}", "enable_version_counter": False}
        best = with_callback(lightning, BestEpoch, "ModelCheckpoint")(**best_epoch, **watched)
        built.append(best)
    # not by save_last: Lightning then writes last.ckpt only after an epoch that was the best so far
    built.append(with_callback(lightning, LastEpoch, "Checkpoint")(folder / "last.ckpt", report))
    return best, built


def build_trainer(config: DictConfig, lightning: Any, directory: Path, opened: list[Any], callbacks: list[Any]) -> Any:
    """Return the Trainer; what the config leaves out is quiet."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    options = {**quiet, **configs.plain(config.trainer), **ranks.trainer_options(config.trainer, lightning)}
    del options["compile"]
    return lightning.Trainer(**options, default_root_dir=str(directory), callbacks=callbacks, logger=opened)


def _placed(section: DictConfig, folder: Path) -> dict[str, Any]:
    """Return a callback's section, with this folder for what it writes if it takes one and has none."""
    values = configs.plain(section)
    if "dirpath" in targets.arguments(values["_target_"]) and values.get("dirpath") is None:
        values["dirpath"] = str(folder)
    return values


def with_callback(lightning: Any, hooks: type, kind: str = "Callback") -> type:
    """Return the hooks as a callback, of this kind, of this Lightning package."""
    return type(hooks.__name__, (hooks, getattr(lightning.callbacks, kind)), {"__doc__": hooks.__doc__})
