"""When a trial is stopped early, as data.

Every trial that trial n may learn from has ended before n starts (see suggest.py), so n's prune rule is fixed at its
start: for each step, the least value with which it may go on. The rule travels with the trial, which then decides by
itself, alike in every process and on every backend. Values are signed so that larger is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from litune.algorithms.promotion import REDUCTION_FACTOR

Curve = Mapping[int, float]  # step (1, 2, ...) -> the objective's value there

STARTUP_TRIALS = 5


def prune_below(
    pruner: str, number: int, curves: Mapping[int, Curve], *, maximize: bool, max_steps: int
) -> dict[int, float]:
    """Return step -> the least signed value that may go on, for trial `number` beside the ended trials' `curves`.

    median     below the median of the others' values at that step, once STARTUP_TRIALS trials have reported it
               (Golovin et al. 2017, section 3.2.2, on the values themselves rather than their running averages)
    asha       below the top third at the rungs 1, 3, 9, ... (Li et al. 2020, its stopping form)
    hyperband  asha in brackets, which trials join in turn and which skip 0, 1, ... of the first rungs (Li et al. 2018)

    A trial is not stopped at its last step: `max_steps`, or if that is 0 (not known) the longest curve's.
    """
    if pruner == "none":
        return {}
    sign = 1.0 if maximize else -1.0
    last = max_steps or max((max(curve) for curve in curves.values() if curve), default=0)
    rungs = list(_rungs(last))
    brackets = len(rungs) + 1 if pruner == "hyperband" else 1
    signed = [
        {step: sign * value for step, value in curve.items() if math.isfinite(value)}
        for other, curve in curves.items()
        if other % brackets == number % brackets
    ]
    if pruner == "median":
        return dict(_medians(signed, sorted({step for curve in signed for step in curve if step < last})))
    return dict(_top_third(signed, rungs[number % brackets :]))


def _rungs(max_steps: int) -> Iterator[int]:
    rung = 1
    while rung < max_steps:
        yield rung
        rung *= REDUCTION_FACTOR


def _medians(curves: Sequence[Curve], steps: Iterable[int]) -> Iterator[tuple[int, float]]:
    for step in steps:
        values = [curve[step] for curve in curves if step in curve]
        if len(values) >= STARTUP_TRIALS:
            yield step, median(values)


def _top_third(curves: Sequence[Curve], rungs: Iterable[int]) -> Iterator[tuple[int, float]]:
    for rung in rungs:
        values = sorted((curve[rung] for curve in curves if rung in curve), reverse=True)
        kept = (len(values) + 1) // REDUCTION_FACTOR  # the trial itself is one more at this rung
        if kept:
            yield rung, values[kept - 1]
