"""NNI's kinds of hyperparameter: what each takes, and the parameter made of it, or what would be right; and back."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from litune.config import from_python
from litune.errors import InputError, Problem
from litune.space.parameters import Categorical, Float, Int, Normal, Parameter, identity

TYPES: dict[str, str] = {
    "choice": "a list of values",
    "randint": "[low, high], whole numbers, high excluded",
    "uniform": "[low, high]",
    "quniform": "[low, high, q]",
    "loguniform": "[low, high], both above 0",
    "qloguniform": "[low, high, q], all above 0",
    "normal": "[mu, sigma]",
    "qnormal": "[mu, sigma, q]",
    "lognormal": "[mu, sigma]",
    "qlognormal": "[mu, sigma, q]",
}
_MOST = 2**53  # whole numbers beyond it are not exact in JSON
_HUGE = 1e300  # so that no sum or difference of values overflows


def made(kind: str, values: list[Any]) -> Parameter:
    """Return the parameter of this kind; InputError where the values are not what it takes."""
    problems: list[Problem] = []
    values = from_python.plain(values, kind, problems)
    if problems:
        raise InputError(problems)
    parameter = of_values(values) if kind == "choice" else of_numbers(kind, values)
    if isinstance(parameter, str):
        raise InputError(Problem(key=kind, got=repr(values), expected=parameter))
    return parameter


def spec_of(parameter: Parameter) -> dict[str, Any]:
    """Return NNI's form of a parameter, from which made() makes it again."""
    if isinstance(parameter, Categorical):
        return {"_type": "choice", "_value": list(parameter.choices)}
    if isinstance(parameter, Int):
        return {"_type": "randint", "_value": [parameter.low, parameter.high]}
    name = "log" if parameter.log else ""
    name = ("q" if parameter.q is not None else "") + name
    step = [] if parameter.q is None else [parameter.q]
    if isinstance(parameter, Normal):
        return {"_type": f"{name}normal", "_value": [parameter.mu, parameter.sigma, *step]}
    return {"_type": f"{name}uniform", "_value": [parameter.low, parameter.high, *step]}


def written(value: Any) -> Any:
    """Return NNI's form of what Python code gives: one of litune's ranges, the list of the choices, or that form."""
    if isinstance(value, Parameter):
        return spec_of(value)
    if isinstance(value, (list, tuple)):
        return {"_type": "choice", "_value": list(map(option_of, value))}
    if isinstance(value, Mapping) and isinstance(value.get("_value"), (list, tuple)):
        return {**value, "_value": list(map(option_of, value["_value"]))}
    return value


def option_of(value: Any) -> Any:
    """Return one of the choices; the params that a nested choice's option has are in NNI's form."""
    if isinstance(value, Mapping):
        return {name: item if name == "_name" else written(item) for name, item in value.items()}
    return value


def of_values(values: list[Any]) -> Categorical | str:
    """Return the parameter, or what would be right instead."""
    if not values:
        return "at least one value"
    if not all(_finite(value) for value in values):
        return "finite numbers"
    if len({identity(value) for value in values}) < len(values):
        return "distinct values"
    return Categorical(choices=tuple(values))


def _finite(value: Any) -> bool:
    if isinstance(value, (list, Mapping)):
        return all(_finite(item) for item in (value.values() if isinstance(value, Mapping) else value))
    return not isinstance(value, float) or math.isfinite(value)


def of_numbers(kind: str, values: list[Any]) -> Parameter | str:
    """Return the parameter, or what would be right instead."""
    numbers = [number for value in values if (number := _as_number(value)) is not None]
    if len(values) != (3 if kind.startswith("q") else 2):
        return TYPES[kind]
    if len(numbers) < len(values):
        return f"{TYPES[kind]}, all finite numbers"
    if kind == "randint":
        return _int(*numbers)
    first, second, *steps = map(float, numbers)
    q = steps[0] if steps else None
    if q is not None and q <= 0:
        return "a step q above 0"
    return (_normal if kind.endswith("normal") else _float)(first, second, q, log="log" in kind)


def _int(low: int | float, high: int | float) -> Int | str:
    if not isinstance(low, int) or not isinstance(high, int):
        return TYPES["randint"]
    if max(abs(low), abs(high)) > _MOST:
        return "whole numbers of at most 2**53"
    return Int(low=low, high=high) if low < high else "low below high"


def _float(low: float, high: float, q: float | None, *, log: bool) -> Float | str:
    if low >= high:
        return "low below high"
    if log and low <= 0:
        return "low above 0 for a logarithmic range"
    return _too_large(max(abs(low), abs(high)), q) or Float(low=low, high=high, log=log, q=q)


def _normal(mu: float, sigma: float, q: float | None, *, log: bool) -> Normal | str:
    if sigma <= 0:
        return "a sigma above 0"
    largest = _largest(Normal(mu=mu, sigma=sigma, log=log))
    return _too_large(largest, q) or Normal(mu=mu, sigma=sigma, log=log, q=q)


def _too_large(largest: float, q: float | None) -> str:
    """Return what would be right where values overflow, or are too large for their step; "" where neither is so."""
    if largest > _HUGE:
        return f"values of at most {_HUGE:g}"
    if q is not None and largest / q > _MOST:
        return "a step q that is not lost beside the values"
    return ""


def _largest(normal: Normal) -> float:
    """Return the largest absolute value that the normal gives."""
    try:
        return max(map(abs, normal.examples()), default=0.0)
    except OverflowError:
        return math.inf


def _as_number(value: Any) -> int | float | None:
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        return None
    number: int | float = value
    return number
