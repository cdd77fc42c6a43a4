"""How much each param matters for the score, and how sure that is: PED-ANOVA over bootstrap samples of the trials."""

from __future__ import annotations

import importlib
import random
import warnings
from dataclasses import dataclass

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection

from litune.report.facts import Facts
from litune.space.distributions import shown

SAMPLES = 30
FEWEST = 8  # complete trials; PED-ANOVA compares the best tenth with all of them


@dataclass(frozen=True, kw_only=True)
class Importance:
    """One param's share of what all of them matter (0 to 1), with the 10th and 90th percentile of the bootstrap."""

    name: str
    share: float
    low: float
    high: float


def importances(facts: Facts, samples: int = SAMPLES) -> list[Importance]:
    """Return the params that every complete trial has, the most important first; [] where there are too few trials.

    Without samples the percentiles are the share itself.
    """
    held = [shown(facts.space, row.params) for row in facts.board]
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


def load_ahead(trials: int) -> None:
    """Import scikit-learn, SciPy and pandas, with which Optuna's importances come, if so many trials have them."""
    if trials >= FEWEST:
        importlib.import_module("optuna.importance")


def _shares(trials: list[optuna.trial.FrozenTrial], names: list[str], direction: StudyDirection) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

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
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=varied)
    finally:
        optuna.logging.set_verbosity(before)
    return {name: float(found.get(name, 0.0)) for name in names}
