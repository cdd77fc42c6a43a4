"""The kinds of hyperparameter, with NNI's meaning (NNI 3.0, "Search Space", Types).

A parameter is sampled on its *latent* (an interval, an integer range, or an index) and decoded to its value, so that
every sampler and backend gives a type the same meaning. `decode(encode(value)) == value` for every value that decode
gives; for a normal without steps, to about 1e-12.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from statistics import NormalDist
from typing import Any

_TAIL = 2.0**-20  # a normal is cut where its tails hold this much: at 4.76 standard deviations


@dataclass(frozen=True, kw_only=True)
class Latent:
    """What a sampler draws from. kind: `float` in [low, high], `int` in [low, high], or `index` in [0, high]."""

    kind: str
    low: float
    high: float
    log: bool = False

    @property
    def levels(self) -> int:
        """How many whole numbers there are from low to high: those that an `int` or an `index` takes."""
        return int(self.high - self.low) + 1


@dataclass(frozen=True, kw_only=True)
class Float:
    """uniform, loguniform, quniform, qloguniform: [low, high], rounded to multiples of `q` and clipped."""

    low: float
    high: float
    log: bool = False
    q: float | None = None

    @property
    def latent(self) -> Latent:
        """The interval before rounding."""
        return Latent(kind="float", low=self.low, high=self.high, log=self.log)

    def decode(self, latent: float) -> float:
        """Return the value of a latent."""
        clipped = min(max(float(latent), self.low), self.high)
        return clipped if self.q is None else min(max(multiple(clipped, self.q), self.low), self.high)

    def encode(self, value: float) -> float:
        """Return the latent of a value."""
        return min(max(float(value), self.low), self.high)

    def contains(self, value: Any) -> bool:
        """Say whether decode can give the value."""
        return _is_number(value) and (value == self.decode(value) or _alike(value, self.decode(value), self.q))

    def examples(self) -> tuple[Any, ...]:
        """Return both ends."""
        return self.decode(self.low), self.decode(self.high)

    def grid(self) -> tuple[Any, ...] | None:
        """Return every value in order, or None for a continuous range."""
        if self.q is None:
            return None
        first = round(self.low / self.q)
        return tuple(self.decode((first + index) * self.q) for index in range(self.grid_size() or 0))

    def grid_size(self) -> int | None:
        """Return how many there are, without making them, or None for a continuous range."""
        return None if self.q is None else round(self.high / self.q) - round(self.low / self.q) + 1


@dataclass(frozen=True, kw_only=True)
class Normal:
    """normal, lognormal (exp of a normal), qnormal, qlognormal (rounded to multiples of `q`).

    The latent is the probability below the value; the tails beyond 2**-20 are cut off.
    """

    mu: float
    sigma: float
    log: bool = False
    q: float | None = None

    @property
    def latent(self) -> Latent:
        """The probabilities that are kept."""
        return Latent(kind="float", low=_TAIL, high=1 - _TAIL)

    def decode(self, latent: float) -> float:
        """Return the value of a latent."""
        value = NormalDist(self.mu, self.sigma).inv_cdf(min(max(float(latent), _TAIL), 1 - _TAIL))
        value = math.exp(value) if self.log else value
        return value if self.q is None else multiple(value, self.q)

    def encode(self, value: float) -> float:
        """Return the latent of a value, to about 1e-12."""
        if self.log:
            value = math.log(value) if value > 0 else -math.inf
        return min(max(NormalDist(self.mu, self.sigma).cdf(value), _TAIL), 1 - _TAIL)

    def contains(self, value: Any) -> bool:
        """Say whether the value lies within the tails, on a multiple of `q`."""
        if not _is_number(value):
            return False
        low, high = self.examples()
        return bool(low <= value <= high) and (self.q is None or _alike(value, multiple(value, self.q), self.q))

    def examples(self) -> tuple[Any, ...]:
        """Return the values at both tails."""
        return self.decode(0.0), self.decode(1.0)

    def grid(self) -> None:
        """Return None: a normal has no grid."""

    def grid_size(self) -> None:
        """Return None: a normal has no grid."""


@dataclass(frozen=True, kw_only=True)
class Int:
    """randint: whole numbers from `low` up to but not including `high`."""

    low: int
    high: int

    @property
    def latent(self) -> Latent:
        """The numbers themselves."""
        return Latent(kind="int", low=self.low, high=self.high - 1)

    def decode(self, latent: float) -> int:
        """Return the value of a latent."""
        return int(latent)

    def encode(self, value: int) -> int:
        """Return the latent of a value."""
        return int(value)

    def contains(self, value: Any) -> bool:
        """Say whether the value is one of them."""
        return _is_number(value) and value == int(value) and self.low <= value < self.high

    def examples(self) -> tuple[Any, ...]:
        """Return both ends."""
        return self.low, self.high - 1

    def grid(self) -> tuple[Any, ...]:
        """Return every value in order."""
        return tuple(range(self.low, self.high))

    def grid_size(self) -> int:
        """Return how many there are."""
        return self.high - self.low


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """choice: one of the given JSON values. Three numbers or more, in order, are searched as the steps of a number."""

    choices: tuple[Any, ...]

    @cached_property
    def latent(self) -> Latent:
        """The index of the choice."""
        pairs = list(itertools.pairwise(self.choices))
        numbers = len(pairs) > 1 and all(map(_is_number, self.choices))
        steps = numbers and (all(a < b for a, b in pairs) or all(a > b for a, b in pairs))
        return Latent(kind="int" if steps else "index", low=0, high=len(self.choices) - 1)

    def decode(self, latent: float) -> Any:
        """Return the value of a latent."""
        return self.choices[int(latent)]

    def encode(self, value: Any) -> int:
        """Return the latent of a value."""
        return self._places[identity(value)]

    def contains(self, value: Any) -> bool:
        """Say whether the value is one of the choices."""
        return identity(value) in self._places

    def examples(self) -> tuple[Any, ...]:
        """Return all choices."""
        return self.choices

    def grid(self) -> tuple[Any, ...]:
        """Return all choices."""
        return self.choices

    def grid_size(self) -> int:
        """Return how many there are."""
        return len(self.choices)

    @cached_property
    def _places(self) -> dict[Hashable, int]:
        return {identity(choice): index for index, choice in enumerate(self.choices)}


Parameter = Float | Normal | Int | Categorical


def identity(value: Any) -> Hashable:
    """Return what two JSON values have in common only if they are equal: 64 is 64.0, but true is not 1."""
    if isinstance(value, Mapping):
        return "mapping", tuple(sorted((name, identity(item)) for name, item in value.items()))
    if isinstance(value, (list, tuple)):
        return "list", tuple(identity(item) for item in value)
    return isinstance(value, bool), value


def multiple(value: float, q: float) -> float:
    """Return the multiple of `q` that is nearest to the value, without binary dust (0.3, not 0.30000000000000004)."""
    exponent = Decimal(repr(q)).normalize().as_tuple().exponent
    digits = max(0, -exponent) if isinstance(exponent, int) else 0
    return round(round(value / q) * q, digits)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _alike(value: float, other: float, q: float | None) -> bool:
    """Say whether two values are one but for binary dust, as other tuners' multiples of `q` have it."""
    return math.isclose(value, other, rel_tol=1e-12, abs_tol=1e-9 * q if q else 0.0)
