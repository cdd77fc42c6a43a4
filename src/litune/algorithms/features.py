"""Params as points for a Gaussian process.

A number is scaled to [0, 1], in logs where its range is; a choice is one-hot; what a nested choice leaves out lies in
the middle, so that it tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litune.space.space import Space

Array = NDArray[np.float64]
_ONE_HOT = 0.7  # in the column of an option: two options are then about as far apart as the two ends of a number
_ONE_OF_TWO = 0.5  # where there are two options only


class Features:
    """Turn `drawn` uniform numbers into params, and either into a row of features; holds the space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.drawn = len(space.parameters)

    def params(self, unit: Array) -> dict[str, Any]:
        """Return the params that the uniform numbers (drawn,) stand for."""
        place = dict(zip(self.space.parameters, unit, strict=True))
        return self.space.draw(lambda key: self._latent(key, float(place[key])))

    def unit(self, params: Mapping[str, Any]) -> Array:
        """Return uniform numbers that stand for the params."""
        latents = self.space.encode(params)
        return np.array([self._place(key, latents[key]) if key in latents else 0.5 for key in self.space.parameters])

    def of(self, params: Mapping[str, Any]) -> Array:
        """Return the row of features of the params."""
        row: Array = self.from_units(self.unit(params)[None, :])[0]
        return row

    def from_units(self, units: Array) -> Array:
        """Return the rows of features (n, features) of uniform numbers (n, drawn)."""
        columns: list[Array] = []
        active: dict[str, NDArray[np.bool_]] = {}
        levels: dict[str, Array] = {}  # which of its levels a choice or whole number has
        for place, (key, parameter) in enumerate(self.space.parameters.items()):
            latent, column = parameter.latent, units[:, place]
            if latent.kind != "float":
                column = levels[key] = np.minimum(np.floor(column * latent.levels), latent.levels - 1)
            on = np.ones(len(units), dtype=bool)
            if condition := self.space.conditions.get(key):
                chooser, option = condition
                options = self.space.parameters[chooser].grid() or ()
                on = active[chooser] & (levels[chooser] == options.index(option))
            active[key] = on
            if latent.kind == "index":
                hot = column[:, None] == np.arange(latent.levels)[None, :]
                columns += list((hot * (_ONE_HOT if latent.levels > 2 else _ONE_OF_TWO) * on[:, None]).T)
            else:
                number = column / (latent.levels - 1) if latent.kind == "int" and latent.levels > 1 else column
                columns.append(np.where(on, number, 0.5))
        return np.stack(columns, axis=1)

    def _latent(self, key: str, unit: float) -> float:
        latent = self.space.parameters[key].latent
        if latent.kind != "float":
            return int(latent.low) + min(int(unit * latent.levels), latent.levels - 1)
        if latent.log:
            return math.exp(math.log(latent.low) + unit * (math.log(latent.high) - math.log(latent.low)))
        return latent.low + unit * (latent.high - latent.low)

    def _place(self, key: str, value: float) -> float:
        latent = self.space.parameters[key].latent
        if latent.kind != "float":
            return (value - latent.low + 0.5) / latent.levels
        if latent.high == latent.low:
            return 0.5
        if latent.log:
            return math.log(value / latent.low) / math.log(latent.high / latent.low)
        return (value - latent.low) / (latent.high - latent.low)
