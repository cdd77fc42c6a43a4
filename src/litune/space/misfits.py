"""Params that the search did not choose itself (search.enqueue, NNI's draws), checked against the space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from litune.errors import Problem, nearest
from litune.space.parameters import Categorical, Int, Parameter
from litune.space.space import Space, name_of

ABSENT = "nothing"


def problems(params: Mapping[str, Any], space: Space, *, whole: bool) -> Iterator[Problem]:
    """Yield the params that the space does not have, or not with that value; and those that lack, if `whole`."""
    placed = {name_of(id_): id_ for id_ in space.placed(params)}
    for name, value in params.items():
        if name in placed:
            parameter = space.parameters[placed[name]]
            if not parameter.contains(value):
                near = nearest(str(value), map(str, parameter.choices)) if isinstance(parameter, Categorical) else None
                yield Problem(key=name, got=repr(value), expected=_values(parameter), nearest=near)
        elif name in space.names:
            yield Problem(key=name, got=repr(value), expected=f"beside it {_needed(name, space)}")
        else:
            expected = f"one of {', '.join(space.names)}"
            yield Problem(key=name, got="an unknown param", expected=expected, nearest=nearest(name, space.names))
    if whole:
        for name in space.misfits(params):
            if name not in params:
                yield Problem(key=name, got=ABSENT, expected="a value")


def _needed(name: str, space: Space) -> str:
    conditions = [condition for id_, condition in space.conditions.items() if name_of(id_) == name]
    return " or ".join(dict.fromkeys(f"{name_of(chooser)}={option}" for chooser, option in conditions))


def _values(parameter: Parameter) -> str:
    if isinstance(parameter, Categorical):
        return f"one of {', '.join(map(repr, parameter.choices))}"
    low, high = parameter.examples()
    if isinstance(parameter, Int):
        return f"a whole number from {low} to {high}"
    return f"a number from {low!r} to {high!r}" + (f", a multiple of {parameter.q!r}" if parameter.q else "")
