"""A trial by a plain function `train(params, trial) -> score` that owns its loop: PyTorch, Fabric, scikit-learn."""

from __future__ import annotations

import inspect
import math
import operator
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune.config import config as configs
from litune.errors import InputError, Problem
from litune.targets.locate import locate, trust
from litune.targets.signatures import TARGET
from litune.trial import Failure, FailureClass, Outcome, Trial, TrialState, this_process

SECTION = "function"
_NOT_BESIDE = ("model", "data", "optimizer", "lr_scheduler", "criterion", "callbacks")


class FunctionTrial:
    """What the function sees of its trial. Files of the trial's own belong in `directory`."""

    def __init__(self, trial: Trial, metric: str) -> None:
        self.number = trial.number
        self.history: dict[int, float] = {}
        self.pruned = False
        self.diverged: int | None = None  # the first step whose metric was no number
        self._trial, self._metric = trial, metric

    @property
    def directory(self) -> Path:
        """The trial's own directory."""
        self._trial.directory.mkdir(parents=True, exist_ok=True)
        return self._trial.directory

    def report(self, step: int, value: float | Mapping[str, float]) -> None:
        """Report the metric (or several, by name) after `step`: 1, 2, ...; raise ValueError for a step out of order."""
        try:
            step = operator.index(step)  # NumPy has whole numbers of its own
        except TypeError:
            raise ValueError(f"trial.report: got step {step}; expected a whole number: 1, 2, ...") from None
        if step <= max(self.history, default=0):
            expected = f"more than {max(self.history)}, the last one" if self.history else "1 or more"
            raise ValueError(f"trial.report: got step {step}; expected {expected}")
        metrics = dict(value) if isinstance(value, Mapping) else {self._metric: value}
        if self._metric not in metrics:
            raise ValueError(f"trial.report: got {', '.join(metrics) or 'nothing'}; expected {self._metric} among them")
        metrics = {name: float(number) for name, number in metrics.items()}
        self.history[step] = metrics[self._metric]
        if self.diverged is None and not math.isfinite(metrics[self._metric]):
            self.diverged = step
        self._trial.report(step, metrics)

    def should_stop(self) -> bool:
        """Say whether the function must return now: the trial is pruned, or its metric is no number any more."""
        if self.diverged is None:
            self.pruned = self.pruned or self._trial.should_stop()
        return self.pruned or self.diverged is not None


def check(config: DictConfig) -> list[Problem]:
    """Import the function that the config names and return what is wrong with it."""
    trust(config.allow)
    section = configs.plain(config.function)
    problems = [
        Problem(key=name, got="a section", expected=f"nothing beside {SECTION}, which owns its training")
        for name in _NOT_BESIDE
        if config[name]
    ]
    if not section.get(TARGET):
        expected = "the dotted name of a function of (params, trial)"
        return [*problems, Problem(key=f"{SECTION}.{TARGET}", got="nothing", expected=expected)]
    try:
        function = locate(str(section[TARGET]))
    except InputError as error:
        return problems + [replace(problem, key=f"{SECTION}.{TARGET}") for problem in error.problems]
    return problems + ([] if _takes_both(function) else [_wrong_arguments(function)])


def _takes_both(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind({}, None)
    except TypeError:
        return False
    return True


def _wrong_arguments(function: Callable[..., Any]) -> Problem:
    got = f"{function.__name__}{inspect.signature(function)}"
    return Problem(key=f"{SECTION}.{TARGET}", got=got, expected="a function of (params, trial) that returns the score")


def load(config: DictConfig) -> Callable[..., Any]:
    """Import and return the function that the config names; raise InputError."""
    trust(config.allow)
    return locate(config.function[TARGET])


def run(config: DictConfig, trial: Trial) -> Outcome:
    """Call the function once and return how the trial ended. What it raises is not caught."""
    from pytorch_lightning import seed_everything

    started = time.monotonic()
    function = load(config)
    objective = configs.objective(config)
    params = configs.plain(config.function)
    del params[TARGET]
    seed_everything(config.seed, workers=True, verbose=False)
    seen = FunctionTrial(trial, objective.metric)
    returned = function(params, seen)
    score = None if returned is None else float(returned)
    if not seen.history and score is not None:
        seen.report(1, score)
    failure = _failure(seen, score, objective.metric)
    if score is None and failure is None:
        score = objective.score(seen.history)
    state = TrialState.PRUNED if seen.pruned else TrialState.COMPLETE
    return Outcome(
        state=TrialState.FAILED if failure else state,
        score=None if failure else score,
        history=seen.history,
        failure=failure,
        seconds=time.monotonic() - started,
        where=this_process(),
    )


def _failure(seen: FunctionTrial, score: float | None, metric: str) -> Failure | None:
    if seen.diverged is not None:
        message = f"{metric} was {seen.history[seen.diverged]} at step {seen.diverged}"
        return Failure(kind=FailureClass.NAN, message=message)
    if score is not None and not math.isfinite(score):
        return Failure(kind=FailureClass.NAN, message=f"the function returned {score}")
    if score is None and not seen.history:
        message = f"the function returned no score and never reported {metric}"
        return Failure(kind=FailureClass.NO_METRIC, message=message)
    return None
