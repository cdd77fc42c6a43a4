"""What the algorithms that train in legs decide on, and return: the trials as they may see them, and a decision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SeenTrial:
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
