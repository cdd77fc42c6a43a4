"""The search space: what each hyperparameter may be, with NNI's meaning (NNI 3.0, "Search Space", Types).

A parameter is sampled on its *latent* (an interval, an integer range, or an index) and decoded to its value, so that
every sampler and backend gives a type the same meaning. `decode(encode(value)) == value` for every value decode gives.

A nested choice is flattened. The choice itself is the parameter `KEY._name`; the parameters of an option live under
`KEY[OPTION].NAME`, since two options may give one name different ranges, and appear in params as `KEY.NAME`.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
        return _is_number(value) and self.low <= value <= self.high and self.decode(value) == value

    def examples(self) -> tuple[Any, ...]:
        """Return both ends."""
        return self.decode(self.low), self.decode(self.high)

    def grid(self) -> tuple[Any, ...] | None:
        """Return every value in order, or None for a continuous range."""
        if self.q is None:
            return None
        first, last = math.floor(self.low / self.q), math.ceil(self.high / self.q)
        return tuple(dict.fromkeys(self.decode(index * self.q) for index in range(first, last + 1)))

    def grid_size(self) -> int | None:
        """Return an upper bound of the grid's size without making it, or None for a continuous range."""
        return None if self.q is None else math.ceil(self.high / self.q) - math.floor(self.low / self.q) + 1


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
        return bool(low <= value <= high) and (self.q is None or multiple(value, self.q) == value)

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
    """choice: one of the given JSON values."""

    choices: tuple[Any, ...]

    @property
    def latent(self) -> Latent:
        """The index of the choice."""
        return Latent(kind="index", low=0, high=len(self.choices) - 1)

    def decode(self, latent: float) -> Any:
        """Return the value of a latent."""
        return self.choices[int(latent)]

    def encode(self, value: Any) -> int:
        """Return the latent of a value."""
        return next(index for index, choice in enumerate(self.choices) if same(choice, value))

    def contains(self, value: Any) -> bool:
        """Say whether the value is one of the choices."""
        return any(same(choice, value) for choice in self.choices)

    def examples(self) -> tuple[Any, ...]:
        """Return all choices."""
        return self.choices

    def grid(self) -> tuple[Any, ...]:
        """Return all choices."""
        return self.choices

    def grid_size(self) -> int:
        """Return how many there are."""
        return len(self.choices)


Parameter = Float | Normal | Int | Categorical


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

    def encode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the latents, by id, of the params."""
        chosen: dict[str, Any] = {}
        for key in self.parameters:
            if self._active(key, chosen):
                chosen[key] = params[name_of(key)]
        return {key: self.parameters[key].encode(value) for key, value in chosen.items()}

    def misfits(self, params: Mapping[str, Any]) -> list[str]:
        """Return the names that are absent, superfluous, or hold a value outside their parameter."""
        chosen: dict[str, Any] = {}
        for key in self.parameters:
            if self._active(key, chosen):
                chosen[key] = params.get(name_of(key))
        wrong = [name_of(key) for key, value in chosen.items() if not self.parameters[key].contains(value)]
        return wrong + sorted(set(params) - {name_of(key) for key in chosen})

    def sample(self, rng: random.Random) -> dict[str, Any]:
        """Return random params."""

        def draw(key: str) -> float:
            latent = self.parameters[key].latent
            if latent.kind != "float":
                return rng.randint(int(latent.low), int(latent.high))
            if latent.log:
                return math.exp(rng.uniform(math.log(latent.low), math.log(latent.high)))
            return rng.uniform(latent.low, latent.high)

        return self.draw(draw)

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

    def _children(self, key: str, option: Any) -> list[str]:
        return [child for child, condition in self.conditions.items() if condition == (key, option)]

    def _below(self, key: str, option: Any) -> int:
        return math.prod(self._size(child) for child in self._children(key, option))

    def _size(self, key: str) -> int:
        parameter = self.parameters[key]
        if any(condition[0] == key for condition in self.conditions.values()):
            return sum(self._below(key, option) for option in parameter.grid() or ())
        exact = parameter.grid() if isinstance(parameter, Float) and (parameter.grid_size() or 0) < 10**6 else None
        return len(exact) if exact is not None else parameter.grid_size() or 0

    def _point(self, keys: list[str], number: int) -> Iterator[tuple[str, Any]]:
        for index, key in enumerate(keys):
            faster = math.prod(self._size(other) for other in keys[index + 1 :])
            place, number = divmod(number, faster)
            for option in self.parameters[key].grid() or ():
                below = self._below(key, option)
                if place < below:
                    yield key, option
                    yield from self._point(self._children(key, option), place)
                    break
                place -= below


def name_of(key: str) -> str:
    """Return the dotted config key of a parameter's id."""
    return re.sub(r"\[[^\]]*\]", "", key)


def same(first: Any, second: Any) -> bool:
    """Say whether two JSON values are equal; unlike Python, true is not 1."""
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)


def multiple(value: float, q: float) -> float:
    """Return the multiple of `q` that is nearest to the value, without binary dust (0.3, not 0.30000000000000004)."""
    exponent = Decimal(repr(q)).normalize().as_tuple().exponent
    digits = max(0, -exponent) if isinstance(exponent, int) else 0
    return round(round(value / q) * q, digits)


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return params as NNI hands them to a trial (nested choices are mappings) by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        flat.update(flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return flat


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def uniform(low: float, high: float) -> Float:
    """Any number in [low, high]."""
    return Float(low=float(low), high=float(high))


def loguniform(low: float, high: float) -> Float:
    """Any number in [low, high], alike likely in each decade."""
    return Float(low=float(low), high=float(high), log=True)


def quniform(low: float, high: float, q: float) -> Float:
    """uniform, rounded to multiples of q."""
    return Float(low=float(low), high=float(high), q=float(q))


def qloguniform(low: float, high: float, q: float) -> Float:
    """loguniform, rounded to multiples of q."""
    return Float(low=float(low), high=float(high), log=True, q=float(q))


def randint(low: int, high: int) -> Int:
    """Whole numbers from low up to but not including high."""
    return Int(low=low, high=high)


def choice(*values: Any) -> Categorical:
    """One of the values."""
    return Categorical(choices=values)
