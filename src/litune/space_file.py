"""Search space files: NNI's JSON, and the same as YAML, with everything that is wrong with one found at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from litune import documents
from litune.errors import InputError, Problem, nearest
from litune.space import Categorical, Float, Int, Normal, Parameter, Space, name_of, same

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
_LARGEST = 1 << 20  # bytes; no honest search space comes near


def load(path: Path) -> Space:
    """Return the space in a JSON or YAML file; InputError with all that is wrong with it."""
    if path.is_file() and path.stat().st_size > _LARGEST:
        raise InputError(Problem(where=documents.shown(path), got=f"{path.stat().st_size} bytes", expected="a space"))
    document = documents.read(path)
    return parse(document.data, document.where)


def parse(data: Mapping[str, Any], where: Any = lambda _key: "") -> Space:
    """Return the space that plain data describes; `where(dotted key)` gives FILE:LINE for errors."""
    parameters: dict[str, Parameter] = {}
    conditions: dict[str, tuple[str, str]] = {}
    problems = list(_read(data, "", "", None, where, parameters, conditions))
    if not data:
        problems.append(Problem(where=where(""), got="an empty search space", expected="at least one parameter"))
    names = {name_of(key) for key in parameters}
    for name in sorted(names):
        above = name.removesuffix("._name").rpartition(".")[0]
        if above in names:
            got = f"both {above} and {name}"
            problems.append(Problem(where=where(name), key=name, got=got, expected="one of the two"))
    if problems:
        raise InputError(problems)
    return Space(parameters=parameters, conditions=conditions)


def dump(space: Space) -> dict[str, Any]:
    """Return the space as plain data, so that parse(dump(space)) == space."""
    return {key.removesuffix("._name"): _spec(space, key) for key in space.parameters if key not in space.conditions}


def _read(
    data: Mapping[str, Any],
    ids: str,
    names: str,
    condition: tuple[str, str] | None,
    where: Any,
    parameters: dict[str, Parameter],
    conditions: dict[str, tuple[str, str]],
) -> Iterator[Problem]:
    """Fill parameters and conditions from the mapping of names to specs; yield what is wrong."""
    for name, spec in data.items():
        key, path = f"{ids}{name}", f"{names}{name}"
        if not isinstance(name, str) or not name or any(part.strip() == "" for part in name.split(".")):
            yield Problem(where=where(path), key=path, got=repr(name), expected="a dotted config key")
            continue
        kind, values, problems = _kind_and_values(spec, path, where)
        yield from problems
        if problems:
            continue
        if kind == "choice" and any(isinstance(value, Mapping) for value in values):
            yield from _read_nested(values, key, path, condition, where, parameters, conditions)
            continue
        made = _parameter(kind, values, path, where)
        if isinstance(made, Problem):
            yield made
            continue
        parameters[key] = made
        if condition:
            conditions[key] = condition


def _read_nested(
    options: list[Any],
    key: str,
    path: str,
    condition: tuple[str, str] | None,
    where: Any,
    parameters: dict[str, Parameter],
    conditions: dict[str, tuple[str, str]],
) -> Iterator[Problem]:
    at = where(path)
    bad = [option for option in options if not isinstance(option, Mapping) or not isinstance(option.get("_name"), str)]
    names = [str(option["_name"]) for option in options if option not in bad]
    for option in bad:
        yield Problem(where=at, key=path, got=repr(option), expected="a mapping with a text `_name`, as its siblings")
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(where=at, key=path, got=f"the option {name!r} twice", expected="distinct options")
    if bad or len(set(names)) < len(names):
        return
    chooser = f"{key}._name"
    parameters[chooser] = Categorical(choices=tuple(names))
    if condition:
        conditions[chooser] = condition
    for option in options:
        children = {name: spec for name, spec in option.items() if name != "_name"}
        name = option["_name"]
        yield from _read(
            children, f"{key}[{name}].", f"{path}.", (chooser, name), lambda _key: at, parameters, conditions
        )


def _kind_and_values(spec: Any, path: str, where: Any) -> tuple[str, list[Any], list[Problem]]:
    form = 'like {"_type": "uniform", "_value": [0, 1]}'
    if not isinstance(spec, Mapping):
        return "", [], [Problem(where=where(path), key=path, got=repr(spec), expected=f"a mapping {form}")]
    problems = []
    for name in spec:
        if name not in ("_type", "_value"):
            near = nearest(str(name), ("_type", "_value"))
            expected = f"only _type and _value, {form}"
            problems.append(
                Problem(where=where(f"{path}.{name}"), key=path, got=repr(name), expected=expected, nearest=near)
            )
    absent = [name for name in ("_type", "_value") if name not in spec]
    problems += [Problem(where=where(path), key=path, got=f"no {name}", expected=f"a mapping {form}") for name in absent]
    kind, values = spec.get("_type"), spec.get("_value")
    if "_type" in spec and kind not in TYPES:
        at = where(f"{path}._type")
        expected = "one of " + ", ".join(TYPES)
        near = nearest(str(kind), TYPES)
        problems.append(Problem(where=at, key=f"{path}._type", got=repr(kind), expected=expected, nearest=near))
    elif "_value" in spec and not isinstance(values, list):
        expected = TYPES.get(str(kind), "a list")
        problems.append(
            Problem(where=where(f"{path}._value"), key=f"{path}._value", got=repr(values), expected=expected)
        )
    return str(kind), values if isinstance(values, list) else [], problems


def _parameter(kind: str, values: list[Any], path: str, where: Any) -> Parameter | Problem:
    """Return the parameter, or what is wrong with its values."""

    def wrong(expected: str) -> Problem:
        return Problem(where=where(f"{path}._value"), key=f"{path}._value", got=json.dumps(values), expected=expected)

    if kind == "choice":
        if not values:
            return wrong("at least one value")
        if any(same(first, second) for at, first in enumerate(values) for second in values[:at]):
            return wrong("distinct values")
        return Categorical(choices=tuple(values))
    numbers = [_number(value) for value in values]
    if len(numbers) != (3 if kind.startswith("q") else 2):
        return wrong(TYPES[kind])
    if any(number is None for number in numbers):
        return wrong(f"{TYPES[kind]}, all finite numbers")
    if kind == "randint":
        if not all(isinstance(number, int) for number in numbers):
            return wrong("whole numbers")
        low, high = int(numbers[0] or 0), int(numbers[1] or 0)
        return Int(low=low, high=high) if low < high else wrong("low below high")
    given = [float(number) for number in numbers if number is not None]
    q = given[2] if len(given) == 3 else None
    if q is not None and q <= 0:
        return wrong("a step q above 0")
    if kind.endswith("normal"):
        if given[1] <= 0:
            return wrong("a sigma above 0")
        return Normal(mu=given[0], sigma=given[1], log="log" in kind, q=q)
    if given[0] >= given[1]:
        return wrong("low below high")
    if "log" in kind and given[0] <= 0:
        return wrong("low above 0 for a logarithmic range")
    return Float(low=given[0], high=given[1], log="log" in kind, q=q)


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def _spec(space: Space, key: str) -> dict[str, Any]:
    parameter = space.parameters[key]
    if isinstance(parameter, Categorical):
        if not key.endswith("._name"):
            return {"_type": "choice", "_value": list(parameter.choices)}
        return {"_type": "choice", "_value": [_option(space, key, name) for name in parameter.choices]}
    if isinstance(parameter, Int):
        return {"_type": "randint", "_value": [parameter.low, parameter.high]}
    name = "log" if parameter.log else ""
    name = ("q" if parameter.q is not None else "") + name
    step = [] if parameter.q is None else [parameter.q]
    if isinstance(parameter, Normal):
        return {"_type": f"{name}normal", "_value": [parameter.mu, parameter.sigma, *step]}
    return {"_type": f"{name}uniform", "_value": [parameter.low, parameter.high, *step]}


def _option(space: Space, key: str, option: str) -> dict[str, Any]:
    prefix = f"{key.removesuffix('._name')}[{option}]."
    children = [child for child, condition in space.conditions.items() if condition == (key, option)]
    specs = {child.removeprefix(prefix).removesuffix("._name"): _spec(space, child) for child in children}
    return {"_name": option, **specs}
