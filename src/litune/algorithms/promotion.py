"""Successive halving by promotion: start small, continue the best third of each rung, as soon as there is one.

Asynchronous (Li et al. 2020, arXiv:1810.05934), and without a need to stop anything: a trial rests at its rung until it
belongs to the best third there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from litune.algorithms.decision import Run

REDUCTION_FACTOR = 3


def rungs(steps: int) -> list[int]:
    """Return the steps at which trials rest: `steps` over powers of REDUCTION_FACTOR, rounded, from 1 on."""
    found = [steps]
    while lower := round(found[-1] / REDUCTION_FACTOR):
        found.append(lower)
    return found[::-1]


def promote(runs: Sequence[Run], ladder: Sequence[int]) -> tuple[int, int] | None:
    """Return (trial, rung to go to) of the best trial to continue, from the deepest rung that has one; or None."""
    for rung, higher in reversed(list(itertools.pairwise(ladder))):
        there = [index for index, run in enumerate(runs) if run.reached >= rung or run.over]
        ranked = sorted(there, key=lambda index: (-runs[index].best(rung), index))
        for index in ranked[: len(ranked) // REDUCTION_FACTOR]:
            run = runs[index]
            if run.open(ladder[-1]) and run.reached < higher and math.isfinite(run.best(rung)):
                return index, higher
    return None


def scores_at_depth(runs: Sequence[Run], ladder: Sequence[int], enough: int) -> list[float | None]:
    """Return each trial's best value up to the deepest rung that `enough` trials have reached; None below it."""
    for rung in reversed(ladder):
        if sum(run.reached >= rung for run in runs) >= enough:
            return [run.best(rung) if run.reached >= rung else None for run in runs]
    return [run.best() if run.curve else None for run in runs]
