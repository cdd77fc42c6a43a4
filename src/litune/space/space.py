"""The search space: which hyperparameters there are, nested choices, and what their params may be.

A nested choice is flattened. The choice itself is the parameter `KEY._name`; the parameters of an option live under
`KEY[OPTION].NAME`, since two options may give one name different ranges, and appear in params as `KEY.NAME`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from litune.space.kinds import made, option_of
from litune.space.parameters import Categorical, Float, Int, Normal, Parameter

_ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Space:
    """Parameters by id, in the file's order.

    `conditions` holds, for the parameters of a nested choice, the choice's id and the option that they belong to.
    """

    parameters: Mapping[str, Parameter]
    conditions: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter]) -> Space:
        """Return the space of these parameters, without conditions."""
        return cls(parameters=dict(parameters))

    @property
    def conditional(self) -> bool:
        """Whether there are nested choices."""
        return bool(self.conditions)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The dotted config keys that the space sets, each once."""
        return tuple(dict.fromkeys(name_of(key) for key in self.parameters))

    def draw(self, draw: Callable[[str], Any]) -> dict[str, Any]:
        """Return the params whose latents `draw(id)` gives; it is asked for active parameters only, in order."""
        chosen: dict[str, Any] = {}
        for key, parameter in self.parameters.items():
            if self._active(key, chosen):
                chosen[key] = parameter.decode(draw(key))
        return {name_of(key): value for key, value in chosen.items()}

    def placed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params, or those of a part of them that are active, by the ids of their parameters."""
        chosen: dict[str, Any] = {}
        for key in self.parameters:
            if name_of(key) in params and self._active(key, chosen):
                chosen[key] = params[name_of(key)]
        return chosen

    def encode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the latents, by id, of the params, or of a part of them."""
        return {key: self.parameters[key].encode(value) for key, value in self.placed(params).items()}

    def misfits(self, params: Mapping[str, Any]) -> list[str]:
        """Return the names that are absent, superfluous, or hold a value outside their parameter."""
        chosen: dict[str, Any] = {}
        for key in self.parameters:
            if self._active(key, chosen):
                chosen[key] = params.get(name_of(key), _ABSENT)
        wrong = [
            name_of(key)
            for key, value in chosen.items()
            if value is _ABSENT or not self.parameters[key].contains(value)
        ]
        return wrong + sorted(set(params) - {name_of(key) for key in chosen})

    def continuous(self) -> list[str]:
        """Return the names of the parameters that have no grid."""
        return [name_of(key) for key, parameter in self.parameters.items() if parameter.grid_size() is None]

    def grid_size(self) -> int | None:
        """Return how many points the grid has, or None where a parameter is continuous."""
        if self.continuous():
            return None
        return math.prod(self._size(key) for key in self.parameters if key not in self.conditions)

    def grid(self, number: int) -> dict[str, Any]:
        """Return grid point `number` (0, 1, ...); the last parameter changes fastest, options follow one another."""
        top = [key for key in self.parameters if key not in self.conditions]
        return {name_of(key): value for key, value in self._point(top, number)}

    def _active(self, key: str, chosen: Mapping[str, Any]) -> bool:
        condition = self.conditions.get(key)
        return condition is None or chosen.get(condition[0]) == condition[1]

    @cached_property
    def _children(self) -> Mapping[str, Mapping[Any, list[str]]]:
        """The ids that each option of each nested choice switches on."""
        children: dict[str, dict[Any, list[str]]] = {}
        for child, (chooser, option) in self.conditions.items():
            children.setdefault(chooser, {}).setdefault(option, []).append(child)
        return children

    def _children_of(self, key: str, option: Any) -> list[str]:
        return self._children[key].get(option, []) if key in self._children else []

    def _below(self, key: str, option: Any) -> int:
        return math.prod(self._size(child) for child in self._children_of(key, option))

    def _size(self, key: str) -> int:
        parameter = self.parameters[key]
        if key in self._children:
            return sum(self._below(key, option) for option in parameter.grid() or ())
        return parameter.grid_size() or 0

    def _point(self, keys: list[str], number: int) -> Iterator[tuple[str, Any]]:
        for index, key in enumerate(keys):
            faster = math.prod(self._size(other) for other in keys[index + 1 :])
            place, number = divmod(number, faster)
            for option in self.parameters[key].grid() or ():
                below = self._below(key, option)
                if place < below:
                    yield key, option
                    yield from self._point(self._children_of(key, option), place)
                    break
                place -= below


def name_of(key: str) -> str:
    """Return the dotted config key of a parameter's id."""
    return re.sub(r"\[[^\]]*\]", "", key)


def uniform(low: float, high: float) -> Float:
    """Any number in [low, high]. Here as below, values that make no such parameter are an InputError."""
    return cast(Float, made("uniform", [low, high]))


def loguniform(low: float, high: float) -> Float:
    """Any number in [low, high], alike likely in each decade."""
    return cast(Float, made("loguniform", [low, high]))


def quniform(low: float, high: float, q: float) -> Float:
    """uniform, rounded to multiples of q."""
    return cast(Float, made("quniform", [low, high, q]))


def qloguniform(low: float, high: float, q: float) -> Float:
    """loguniform, rounded to multiples of q."""
    return cast(Float, made("qloguniform", [low, high, q]))


def normal(mu: float, sigma: float) -> Normal:
    """Any number, with mean mu and standard deviation sigma."""
    return cast(Normal, made("normal", [mu, sigma]))


def qnormal(mu: float, sigma: float, q: float) -> Normal:
    """Any multiple of q, rounded from a normal."""
    return cast(Normal, made("qnormal", [mu, sigma, q]))


def lognormal(mu: float, sigma: float) -> Normal:
    """Any number above 0 whose natural logarithm has mean mu and standard deviation sigma."""
    return cast(Normal, made("lognormal", [mu, sigma]))


def qlognormal(mu: float, sigma: float, q: float) -> Normal:
    """Any multiple of q, rounded from a lognormal."""
    return cast(Normal, made("qlognormal", [mu, sigma, q]))


def randint(low: int, high: int) -> Int:
    """Whole numbers from low up to but not including high."""
    return cast(Int, made("randint", [low, high]))


def choice(*values: Any) -> Categorical:
    """One of the values, given one by one or as one list; {"_name": NAME, its own params} is a nested one's."""
    one_list = len(values) == 1 and isinstance(values[0], (list, tuple))
    return cast(Categorical, made("choice", list(map(option_of, values[0] if one_list else values))))
