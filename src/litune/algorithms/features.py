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
        active: dict[str, Any] = {}
        order = list(self.space.parameters)
        for place, (key, parameter) in enumerate(self.space.parameters.items()):
            condition = self.space.conditions.get(key)
            latent = parameter.latent
            column = units[:, place]
            if latent.kind != "float":
                levels = int(latent.high - latent.low) + 1
                level = np.minimum(np.floor(column * levels), levels - 1)
                column = level / (levels - 1) if latent.kind == "int" and levels > 1 else level
            on = np.ones(len(units), dtype=bool)
            if condition is not None:
                parent = self.space.parameters[condition[0]]
                option = next(i for i, value in enumerate(parent.grid() or ()) if value == condition[1])
                levels = len(parent.grid() or ())
                on = active[condition[0]] & (
                    np.floor(units[:, order.index(condition[0])] * levels).clip(0, levels - 1) == option
                )
            active[key] = on
            if latent.kind == "index":
                count = int(latent.high) + 1
                hot = (column[:, None] == np.arange(count)[None, :]) * (0.7 if count > 2 else 0.5)
                columns += list((hot * on[:, None]).T)
            else:
                columns.append(np.where(on, column, 0.5))
        rows: Array = np.stack(columns, axis=1)
        return rows

    def _latent(self, key: str, unit: float) -> float:
        latent = self.space.parameters[key].latent
        if latent.kind != "float":
            levels = int(latent.high - latent.low) + 1
            return int(latent.low) + min(int(unit * levels), levels - 1)
        if latent.log:
            return math.exp(math.log(latent.low) + unit * (math.log(latent.high) - math.log(latent.low)))
        return latent.low + unit * (latent.high - latent.low)

    def _place(self, key: str, value: float) -> float:
        latent = self.space.parameters[key].latent
        if latent.kind != "float":
            return (value - latent.low + 0.5) / (latent.high - latent.low + 1)
        if latent.high == latent.low:
            return 0.5
        if latent.log:
            return math.log(value / latent.low) / math.log(latent.high / latent.low)
        return (value - latent.low) / (latent.high - latent.low)
