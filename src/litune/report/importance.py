"""How much each param matters for the score, and how sure that is: PED-ANOVA over bootstrap samples of the trials."""

from __future__ import annotations

import contextlib
import importlib.util
import random
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection

from litune.report.facts import Facts
from litune.space.distributions import optuna_params

if TYPE_CHECKING:
    from optuna.importance import PedAnovaImportanceEvaluator

SAMPLES = 30
FEWEST = 8  # ranked trials; PED-ANOVA compares the best tenth with all of them


@dataclass(frozen=True, kw_only=True)
class Importance:
    """One param's share of what all of them matter (0 to 1), with the 10th and 90th percentile of the bootstrap."""

    name: str
    share: float
    low: float
    high: float


def importances(facts: Facts, samples: int = SAMPLES) -> list[Importance]:
    """Return the params that every ranked trial has, the most important first; [] where there are too few trials.

    Without samples the percentiles are the share itself.
    """
    held = [optuna_params(facts.space, row.params) for row in facts.board]
    if len(held) < FEWEST:
        return []
    everywhere = set.intersection(*(set(params) for params in held))
    names = [name for name in facts.space.names if name in everywhere]
    direction = StudyDirection.MAXIMIZE if facts.objective.maximize else StudyDirection.MINIMIZE
    trials = []
    for row, params in zip(facts.board, held, strict=True):
        values = {name: params[name][1] for name in names}
        distributions = {name: params[name][0] for name in names}
        trials.append(optuna.trial.create_trial(params=values, distributions=distributions, value=row.score))
    draw = random.Random(0)  # noqa: S311 - a bootstrap, the same each time a report is made
    whole = _shares(trials, names, direction)
    sampled = [_shares(draw.choices(trials, k=len(trials)), names, direction) for _ in range(samples)]
    found = []
    for name in names:
        spread = sorted(shares[name] for shares in sampled or [whole])
        low, high = spread[len(spread) // 10], spread[-1 - len(spread) // 10]
        found.append(Importance(name=name, share=whole[name], low=low, high=high))
    return sorted(found, key=lambda one: -one.share)


def _ped_anova() -> PedAnovaImportanceEvaluator:
    """Return Optuna's evaluator without the rest of its package: that imports scikit-learn and pandas, for fANOVA."""
    with _unopened("optuna.importance"), contextlib.suppress(ImportError):  # the module is private, and may move
        from optuna.importance import _ped_anova as ped_anova

        return ped_anova.PedAnovaImportanceEvaluator()
    from optuna.importance import PedAnovaImportanceEvaluator

    return PedAnovaImportanceEvaluator()


@contextlib.contextmanager
def _unopened(package: str) -> Iterator[None]:
    """Let modules of a package be imported meanwhile without its own code, which is run when it is imported itself."""
    spec = importlib.util.find_spec(package)
    if package in sys.modules or spec is None:
        yield
        return
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[package]


def _shares(trials: list[optuna.trial.FrozenTrial], names: list[str], direction: StudyDirection) -> dict[str, float]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study = optuna.create_study(direction=direction)
            study.add_trials(trials)
            varied = [name for name in names if len({repr(trial.params[name]) for trial in trials}) > 1]
            if not varied or len({trial.value for trial in trials}) < 2:
                return dict.fromkeys(names, 0.0)
            worth = _ped_anova().evaluate(study, params=varied)
    finally:
        optuna.logging.set_verbosity(before)
    whole = sum(worth.values())
    return {name: worth.get(name, 0.0) / whole if whole else (name in worth) / len(worth) for name in names}
