"""Successive halving by promotion: start small, continue the best third of each rung, as soon as there is one.

Asynchronous (Li et al. 2020, arXiv:1810.05934), and without a need to stop anything: a trial rests at its rung until it
belongs to the best third there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from litune.algorithms.decision import SeenTrial

REDUCTION_FACTOR = 3


def rungs(steps: int) -> list[int]:
    """Return the steps at which trials rest: `steps` over powers of REDUCTION_FACTOR, rounded, from 1 on."""
    found = [steps]
    while lower := round(found[-1] / REDUCTION_FACTOR):
        found.append(lower)
    return found[::-1]


def promote(trials: Sequence[SeenTrial], ladder: Sequence[int]) -> tuple[int, int] | None:
    """Return (trial, rung to go to) of the best trial to continue, from the deepest rung that has one; or None."""
    for rung, higher in reversed(list(itertools.pairwise(ladder))):
        there = [index for index, trial in enumerate(trials) if trial.reached >= rung or trial.over]
        ranked = sorted(there, key=lambda index: (-trials[index].best(rung), index))
        for index in ranked[: len(ranked) // REDUCTION_FACTOR]:
            trial = trials[index]
            if trial.open(ladder[-1]) and trial.reached < higher and math.isfinite(trial.best(rung)):
                return index, higher
    return None


def scores_at_depth(trials: Sequence[SeenTrial], ladder: Sequence[int], enough: int) -> list[float | None]:
    """Return each trial's best value up to the deepest rung that `enough` trials have reached; None below it."""
    for rung in reversed(ladder):
        if sum(trial.reached >= rung for trial in trials) >= enough:
            return [trial.best(rung) if trial.reached >= rung else None for trial in trials]
    return [trial.best() if trial.curve else None for trial in trials]
