"""A trial's loggers: where each of them writes, and what they are told beside the metrics."""

from __future__ import annotations

import csv
import fcntl
import math
import os
import re
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig

from litune.config import config as configs
from litune.config.documents import leaves
from litune.targets import targets
from litune.trial import Trial

_SECTIONS = ("model", "data", "optimizer", "lr_scheduler", "criterion")
_FOLDERS = ("trials", "replays")  # of a run, that hold the trials' directories
_TRIAL = r"\d{4,}(-\d+)?"  # what those are called: 0007, and where it was replayed again 0007-2
_RUN_ID = "wandb_id"


@contextmanager
def opened(config: DictConfig, trial: Trial) -> Iterator[list[Any]]:
    """Give the config's loggers; at the end, close what they leave open."""
    failed = True
    try:
        yield [_built(section, name, config, trial) for name, section in config.logger.items() if section]
        failed = False
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:  # Lightning leaves it to the process's end to finish a run
            wandb.finish(exit_code=int(failed))


def hyperparameters(config: DictConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted key -> value of what a trial is made of, interpolations as written: a log holds no secret."""
    stored = configs.stored(config)
    values = {"seed": stored["seed"], **dict(leaves({name: stored[name] or {} for name in _SECTIONS}))}
    return {**values, **params}


class Hyperparameters:
    """Tell the loggers what the trial is made of, and its score when it ends. Mixed with Lightning's Callback.

    TensorBoard shows on its HParams page only what it was told first of a trial, so it is told once: at the end,
    what was searched (or everything, if nothing was) with the score.
    """

    def __init__(
        self, values: Mapping[str, Any], searched: Mapping[str, Any], metric: str, score: Callable[[], float]
    ) -> None:
        self._values, self._searched = dict(values), dict(searched)
        self._name, self._score = f"score/{metric}", score

    def on_fit_start(self, trainer: Any, _module: Any) -> None:
        """Tell what is tried."""
        for logger in trainer.loggers:
            if not _is_tensorboard(logger):
                logger.log_hyperparams(self._values)

    def on_fit_end(self, trainer: Any, _module: Any) -> None:
        """Tell the score."""
        self._conclude(trainer, self._score())

    def on_exception(self, trainer: Any, _module: Any, _error: BaseException) -> None:
        """Tell that there is no score."""
        self._conclude(trainer, math.nan)

    def _conclude(self, trainer: Any, score: float) -> None:
        step = trainer.fit_loop.epoch_loop._batches_that_stepped  # what Lightning logs by
        for logger in trainer.loggers:
            if _is_tensorboard(logger):
                logger.log_hyperparams(self._searched or self._values, {self._name: score}, step=step)
            elif math.isfinite(score):
                logger.log_metrics({self._name: score}, step=step)


def _is_tensorboard(logger: Any) -> bool:
    return "TensorBoardLogger" in {kind.__name__ for kind in type(logger).__mro__}


def _built(section: Mapping[str, Any], name: str, config: DictConfig, trial: Trial) -> Any:
    kind = str(section["_target_"]).rpartition(".")[2]
    before = _steps_before(trial.checkpoint) if trial.checkpoint else 0
    defaults: dict[str, Any] = {"save_dir": str(trial.directory), "name": "", "version": name}
    run = _run(trial.directory)
    label = "-".join([run.name, *trial.directory.relative_to(run).parts[1:]])
    if kind == "WandbLogger":
        defaults |= {"name": label, "version": _run_id(trial), "group": run.name}
        defaults |= {"project": os.environ.get("WANDB_PROJECT") or config.experiment or "litune"}
    elif kind == "TensorBoardLogger":
        defaults |= {"default_hp_metric": False} | ({"purge_step": before} if before else {})
    elif kind == "MLFlowLogger":
        defaults = {"save_dir": str(run / "mlruns"), "experiment_name": run.name, "run_name": label}
    else:
        accepted = targets.arguments(section["_target_"])
        defaults = {key: value for key, value in defaults.items() if key in accepted}
    logger = targets.instantiate(section, **{key: value for key, value in defaults.items() if key not in section})
    if before and kind == "CSVLogger":
        _keep_rows(logger, before)
    if kind == "MLFlowLogger":
        with (run / "mlflow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one trial makes the experiment that all of them share
            _ = logger.experiment
    return logger


def _run(directory: Path) -> Path:
    """Return the directory of the run that a trial's directory belongs to; of a single training, its own."""
    of_a_run = directory.parent.name in _FOLDERS and re.fullmatch(_TRIAL, directory.name)
    return directory.parents[1] if of_a_run else directory


def _steps_before(checkpoint: str) -> int:
    """Return the steps that the checkpoint's training had logged by: of manual optimization not the optimizers' own."""
    loops = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["loops"]
    return int(loops["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"])


@rank_zero_only
def _keep_rows(logger: Any, before: int) -> None:
    """Have the CSVLogger go on after the rows of the earlier leg; by itself it deletes them."""
    file = Path(logger.log_dir) / "metrics.csv"
    if not file.exists():
        return
    with file.open(newline="") as lines:
        rows = csv.DictReader(lines)
        names = list(rows.fieldnames or [])
        kept = [row for row in rows if int(row["step"]) < before]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Experiment logs directory")  # of the deletion
        writer = logger.experiment
    writer.metrics_keys = names
    with file.open("w", newline="") as lines:
        table = csv.DictWriter(lines, fieldnames=names)
        table.writeheader()
        table.writerows(kept)


@rank_zero_only
def _run_id(trial: Trial) -> str:
    """Return the id of the trial's W&B run: a new one, unless an earlier leg had one."""
    file = trial.directory / _RUN_ID
    if not (trial.checkpoint and file.exists()):
        trial.directory.mkdir(parents=True, exist_ok=True)
        file.write_text(secrets.token_hex(4))
    return file.read_text()
