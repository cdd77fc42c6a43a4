"""Successive halving by promotion: start small, continue the best third of each rung, as soon as there is one.

Asynchronous (Li et al. 2020, arXiv:1810.05934), and without a need to stop anything: a trial rests at its rung until it
belongs to the best third there. New params come from TPE fitted at the deepest rung that enough trials have reached,
as in BOHB (Falkner, Klein and Hutter 2018, arXiv:1807.01774).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ETA = 3


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trial as a decision may see it.

    curve  step -> value, larger is better whatever the objective's mode; NaN and infinities count as worst
    until  the step that a leg in flight, or one whose end may not be seen yet, goes to; 0 without one
    over   it can not be continued: it failed
    """

    params: Mapping[str, Any]
    curve: Mapping[int, float] = field(default_factory=dict)
    until: int = 0
    over: bool = False

    @property
    def reached(self) -> int:
        """The last step that is known."""
        return max(self.curve, default=0)

    @property
    def diverged(self) -> bool:
        """Whether the last known value is not finite."""
        return bool(self.curve) and not math.isfinite(self.curve[self.reached])

    def open(self, steps: int) -> bool:
        """Say whether it may be continued now."""
        return not (self.over or self.until or self.diverged) and 0 < self.reached < steps

    def best(self, step: int | None = None) -> float:
        """Return the best value up to a step; -inf where there is none."""
        seen = [value for at, value in self.curve.items() if step is None or at <= step]
        return max((value for value in seen if math.isfinite(value)), default=-math.inf)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Continue trial `trial`, or start a new one with `params` where it is None, until step `until`."""

    trial: int | None
    params: Mapping[str, Any] | None
    until: int
    why: str


def rungs(steps: int, smallest: int = 1) -> list[int]:
    """Return the steps at which trials rest: `steps` over powers of ETA, from about `smallest` on."""
    found = [steps]
    while round(found[-1] / ETA) >= max(smallest, 1) and round(found[-1] / ETA) < found[-1]:
        found.append(round(found[-1] / ETA))
    return found[::-1]


def promote(runs: Sequence[Run], ladder: Sequence[int]) -> tuple[int, int] | None:
    """Return (trial, rung to go to) of the best trial to continue, from the deepest rung that has one; or None."""
    for rung, higher in reversed(list(itertools.pairwise(ladder))):
        there = [index for index, run in enumerate(runs) if run.reached >= rung or run.over]
        ranked = sorted(there, key=lambda index: (-runs[index].best(rung), index))
        for index in ranked[: len(ranked) // ETA]:
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
