"""Where freeze-thaw (thaw.py) has the params of new trials from: a list of all there are, or the space at random.

Both give no params that a trial has already, of which `taken` holds the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from litune.algorithms.curves import Array
from litune.algorithms.features import Features
from litune.algorithms.observed import Indices
from litune.seeds import stream
from litune.space.space import Space

_TRIES = 1000  # random params of a space, before it counts as used up, or its grid is looked through

Params = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Params to choose from: `rows` are their features; `pick`, given places in order of preference, returns params."""

    rows: Array
    pick: Callable[[Indices], Params | None]


class Candidates(Protocol):
    """What new trials may try."""

    def nearest(self, unit: Array, taken: Collection[str], rng: np.random.Generator) -> Params | None:
        """Return the params at a point of the unit cube, or others near it; None if no params are left."""

    def anywhere(self, count: int, taken: Collection[str], rng: np.random.Generator) -> Batch:
        """Return at most `count` params from all over the space."""

    def around(
        self, best: Sequence[Params], count: int, near: int, taken: Collection[str], rng: np.random.Generator
    ) -> Batch:
        """Return about `count` params, where that can be done `near` of them close to the best trials' params."""


class Listed:
    """A list of all the params there are."""

    def __init__(self, features: Features, params: Sequence[Params]) -> None:
        self._features, self._params = features, params
        self._keys = [key_of(one) for one in params]
        self._rows = np.stack([features.of(one) for one in params])

    def nearest(self, unit: Array, taken: Collection[str], _rng: np.random.Generator) -> Params | None:
        """Return those of the list that are nearest to the point."""
        free = self._free(taken)
        if not len(free):
            return None
        distance = ((self._rows[free] - self._features.from_units(unit[None, :])) ** 2).sum(1)
        return self._params[int(free[np.argmin(distance)])]

    def anywhere(self, count: int, taken: Collection[str], rng: np.random.Generator) -> Batch:
        """Return a random part of the list."""
        free = self._free(taken)
        if len(free) > count:
            free = np.sort(rng.choice(free, count, replace=False))
        return Batch(rows=self._rows[free], pick=lambda order: self._params[int(free[order[0]])])

    def around(
        self, _best: Sequence[Params], count: int, _near: int, taken: Collection[str], rng: np.random.Generator
    ) -> Batch:
        """Return a random part of the list, twice as large as asked for."""
        return self.anywhere(2 * count, taken, rng)

    def _free(self, taken: Collection[str]) -> Indices:
        return np.array([place for place, key in enumerate(self._keys) if key not in taken], dtype=np.int64)


class Sampled:
    """The space itself, drawn from at random."""

    def __init__(self, features: Features, space: Space) -> None:
        self._features, self._space = features, space

    def nearest(self, unit: Array, taken: Collection[str], rng: np.random.Generator) -> Params | None:
        """Return the params of the point, or random ones if a trial has them."""
        return self._first(unit[None, :], taken, rng)

    def anywhere(self, count: int, taken: Collection[str], rng: np.random.Generator) -> Batch:
        """Return random params."""
        return self._batch(rng.random((count, self._features.drawn)), taken, rng)

    def around(
        self, best: Sequence[Params], count: int, near: int, taken: Collection[str], rng: np.random.Generator
    ) -> Batch:
        """Return random params, of which the first are the best ones' with about half of the numbers moved a little."""
        units = rng.random((count, self._features.drawn))
        centres = np.stack([self._features.unit(params) for params in best])[rng.choice(len(best), near)]
        step = rng.standard_normal(centres.shape) * 10 ** rng.uniform(-2, -0.5, (near, 1))
        moved = np.clip(centres + step, 0, 1 - 1e-9)
        units[:near] = np.where(rng.random(centres.shape) < 0.5, centres, moved)
        return self._batch(units, taken, rng)

    def _batch(self, units: Array, taken: Collection[str], rng: np.random.Generator) -> Batch:
        return Batch(rows=self._features.from_units(units), pick=lambda order: self._first(units[order], taken, rng))

    def _first(self, units: Array, taken: Collection[str], rng: np.random.Generator) -> Params | None:
        """Return the first of these params that no trial has, else random ones, else what is left of a grid."""
        for _ in range(1 + _TRIES // len(units)):
            for unit in units:
                params = self._features.params(unit)
                if key_of(params) not in taken:
                    return params
            units = rng.random(units.shape)
        grid = (self._space.grid(place) for place in range(self._space.grid_size() or 0))
        return next((params for params in grid if key_of(params) not in taken), None)


def key_of(params: Params) -> str:
    """Return what tells params from others: numbers to 12 digits, as the way through the unit cube changes the last."""
    return repr(sorted((key, _rounded(value)) for key, value in params.items()))


def _rounded(value: Any) -> Any:
    return float(f"{value:.12g}") if isinstance(value, float) else value


def evenly(number: int, dimensions: int, seed: int) -> Array:
    """Return point `number` of a sequence that fills the unit cube evenly: its middle, then M. Roberts' R-sequence.

    The steps of that sequence are the powers of a generalised golden ratio.
    """
    if number == 0:
        return np.full(dimensions, 0.5)
    ratio = 2.0
    for _ in range(64):
        ratio = (1.0 + ratio) ** (1.0 / (dimensions + 1))
    shift = np.random.default_rng(stream(seed, -1)).random(dimensions)
    point: Array = (shift + number * ratio ** -np.arange(1.0, dimensions + 1)) % 1.0
    return point
