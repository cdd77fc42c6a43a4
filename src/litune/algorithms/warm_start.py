"""What a search learns from earlier runs (search.warm_start): their trials whose params fit its space.

Scores are standardised run by run, so that runs of other data, metrics or directions can inform it
(docs/decisions/warm-start.md).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from litune.objective import Objective
from litune.space.space import Space
from litune.table import TrialRow, digest
from litune.trial import TrialState

MOST = 200  # trials of earlier runs that a search looks at; more cost time and add little
FADE = 40  # a search that has so many complete trials of its own looks at no earlier ones: docs/decisions/warm-start.md
LEARNING = ("auto", "tpe", "gp", "cmaes")  # the algorithms that learn from earlier runs


@dataclass(frozen=True, kw_only=True)
class EarlierTrial:
    """A trial of an earlier run. score: standardised, larger is better; pruned_at: its validations if it was pruned."""

    params: Mapping[str, Any]
    score: float
    pruned_at: int = 0


@dataclass(frozen=True, kw_only=True)
class EarlierRun:
    """What is learnt of one run. `ended` counts its trials, `misfits` those that each misfitting param kept out."""

    name: str
    digest: str
    trials: tuple[EarlierTrial, ...]
    ended: int
    misfits: Mapping[str, int]

    def __str__(self) -> str:
        """Say how many trials fit, and why the others do not."""
        why = "".join(f", {count} for {name}" for name, count in self.misfits.items())
        left = self.ended - len(self.trials)
        rest = f"; {left} do not (failed, answered by another{why})" if left else ""
        return f"warm start from {self.name}: {len(self.trials)} of {self.ended} trials fit{rest}"


def learn(name: str, rows: Collection[TrialRow], objective: Objective, space: Space) -> EarlierRun:
    """Return what a search of the space learns from the rows of a run with that objective."""
    ended = [row for row in rows if row.ended]
    told = [
        row
        for row in ended
        if row.score is not None and math.isfinite(row.score) and row.reused is None and not row.schedule
    ]
    misfits = {row.number: space.misfits(row.params) for row in told}
    complete = [row.score for row in told if row.state is TrialState.COMPLETE and row.score is not None]
    middle, spread = scale(complete)
    trials = tuple(
        EarlierTrial(
            params=row.params,
            score=objective.sign * ((row.score or 0.0) - middle) / spread,
            pruned_at=len(row.history) if row.state is TrialState.PRUNED else 0,
        )
        for row in told
        if not misfits[row.number]
    )
    counts = Counter(name for wrong in misfits.values() for name in wrong)
    return EarlierRun(name=name, digest=digest(rows), trials=trials, ended=len(ended), misfits=counts)


def scale(scores: Collection[float]) -> tuple[float, float]:
    """Return mean and standard deviation; 1 for one that is not known or nothing."""
    middle = fmean(scores) if scores else 0.0
    return middle, (stdev(scores) if len(scores) > 1 else 0.0) or 1.0


def faded(trials: Sequence[EarlierTrial], own: int) -> list[EarlierTrial]:
    """Return those of the earlier trials that still count beside `own` complete ones: evenly from the ranks."""
    count = round(min(len(trials), MOST) * max(0.0, 1 - own / FADE))
    ranked = sorted(range(len(trials)), key=lambda place: (-trials[place].score, place))
    chosen = {ranked[index * len(trials) // count] for index in range(count)}
    return [known for place, known in enumerate(trials) if place in chosen]
