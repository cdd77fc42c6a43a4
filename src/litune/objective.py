"""What a search optimises: one metric, a direction, and how a curve becomes a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A metric by its logged name, and how the values of one trial become its score.

    reduce: `best` value of the curve, its `last`, or `mean_last_k` over its last `last_k` values.
    """

    metric: str
    mode: str = "max"
    reduce: str = "best"
    last_k: int = 3

    @property
    def maximize(self) -> bool:
        """Whether larger is better."""
        return self.mode == "max"

    @property
    def sign(self) -> float:
        """What a value is multiplied by so that larger is better: 1 or -1."""
        return 1.0 if self.maximize else -1.0

    def score(self, history: Mapping[int, float]) -> float:
        """Return the score of a curve (step -> value, at least one); NaN or infinite if any value that counts is."""
        values = [history[step] for step in sorted(history)]
        if self.reduce == "last":
            return values[-1]
        if self.reduce == "mean_last_k":
            tail = values[-self.last_k :]
            return math.fsum(tail) / len(tail)
        return best(values, maximize=self.maximize)

    def better(self, first: float, second: float) -> bool:
        """Say whether `first` is strictly better than `second`."""
        return first > second if self.maximize else first < second


def best(values: Sequence[float], *, maximize: bool) -> float:
    """Return the best of the values; NaN if one is NaN, since max() would hide it."""
    if any(math.isnan(value) for value in values):
        return math.nan
    return max(values) if maximize else min(values)
