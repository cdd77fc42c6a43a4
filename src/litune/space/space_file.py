"""Search space files: NNI's JSON, and the same as YAML, with everything that is wrong with one found at once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from litune.config import documents
from litune.errors import InputError, Problem, nearest
from litune.space.kinds import TYPES, of_numbers, of_values, spec_of
from litune.space.parameters import Categorical, Parameter
from litune.space.space import Space, name_of

_LARGEST = 1 << 17  # bytes; no honest search space comes near, and reading it takes under a second
_FORM = 'like {"_type": "uniform", "_value": [0, 1]}'
_RESERVED = ("_name", "_type", "_value")

Where = Callable[[str], str]


def load(path: Path) -> Space:
    """Return the space in a JSON or YAML file; InputError with all that is wrong with it."""
    document = documents.read(path, largest=_LARGEST)
    return parse(document.data, document.where)


def parse(data: Mapping[str, Any], where: Where = lambda _place: "") -> Space:
    """Return the space that plain data describes; `where(place in the data)` gives FILE:LINE for errors."""
    reader = _Reader(where=where)
    reader.read(data, _Branch())
    if not data:
        reader.wrong("", "", "an empty search space", "at least one parameter")
    if not reader.problems:
        reader.find_collisions()
    if reader.problems:
        raise InputError(reader.problems)
    return Space(parameters=reader.parameters, conditions=reader.conditions)


def dump(space: Space) -> dict[str, Any]:
    """Return the space as plain data, so that parse(dump(space)) == space."""
    return {key.removesuffix("._name"): _spec(space, key) for key in space.parameters if key not in space.conditions}


@dataclass(frozen=True, kw_only=True)
class _Branch:
    """Where in the space we are: what ids, config keys and places in the file begin with, under which option."""

    ids: str = ""
    names: str = ""
    places: str = ""
    condition: tuple[str, str] | None = None


@dataclass(kw_only=True)
class _Reader:
    """Reads specs into parameters and conditions, and notes what is wrong."""

    where: Where
    parameters: dict[str, Parameter] = field(default_factory=dict)
    conditions: dict[str, tuple[str, str]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # of each id
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, place: str, key: str, got: str, expected: str, near: str | None = None, cure: str = "") -> None:
        problem = Problem(where=self.where(place), key=key, got=got, expected=expected, nearest=near, cure=cure)
        self.problems.append(problem)

    def read(self, data: Mapping[str, Any], branch: _Branch) -> None:
        """Read a mapping of names to specs."""
        for name, spec in data.items():
            key, place = f"{branch.names}{name}", f"{branch.places}{name}"
            parts = name.split(".")
            if set(name) & set("[]") or not all(part.strip() for part in parts) or set(parts) & set(_RESERVED):
                self.wrong(place, key, repr(name), "a dotted config key, such as model.hidden")
            elif not isinstance(spec, Mapping):
                self.wrong(place, key, brief(spec), f"a mapping {_FORM}")
            elif self._well_formed(spec, key, place):
                self._read_spec(spec, branch, name)

    def find_collisions(self) -> None:
        """Note config keys that two parameters would set at once, and keys that lie below another."""
        by_name: dict[str, list[str]] = {}
        for key in self.parameters:
            by_name.setdefault(name_of(key), []).append(key)
        for name, keys in by_name.items():
            for first, second in itertools.combinations(keys, 2):
                if not self._exclusive(first, second):
                    self.wrong(self.places[second], name, f"{name} twice, here and in a nested choice", "it once")
            parents = [".".join(name.split(".")[:length]) for length in range(1, name.count(".") + 1)]
            for above in parents:
                if not all(self._exclusive(low, high) for low in keys for high in by_name.get(above, ())):
                    self.wrong(self.places[keys[0]], name, f"both {above} and {name}", "one of the two")

    def _well_formed(self, spec: Mapping[str, Any], key: str, place: str) -> bool:
        before = len(self.problems)
        if spec and not set(spec) & {"_type", "_value"} and all(isinstance(value, Mapping) for value in spec.values()):
            keys = ", ".join(f'"{key}.{name}"' for name in spec)
            self.wrong(place, key, "a section", f"a mapping {_FORM}", cure=f"write dotted keys: {keys}")
            return False
        for name in spec:
            if name not in ("_type", "_value"):
                near = nearest(str(name), ("_type", "_value"))
                self.wrong(f"{place}.{name}", key, repr(name), f"only _type and _value, {_FORM}", near)
        for name in ("_type", "_value"):
            if name not in spec:
                self.wrong(place, key, f"no {name}", f"a mapping {_FORM}")
        kind, values = spec.get("_type"), spec.get("_value")
        known = isinstance(kind, str) and kind in TYPES
        if "_type" in spec and not known:
            expected = "one of " + ", ".join(TYPES)
            self.wrong(f"{place}._type", f"{key}._type", brief(kind), expected, nearest(str(kind), TYPES))
        elif "_value" in spec and not isinstance(values, list):
            expected = TYPES.get(str(kind), "a list")
            self.wrong(f"{place}._value", f"{key}._value", brief(values), expected)
        return len(self.problems) == before

    def _read_spec(self, spec: Mapping[str, Any], branch: _Branch, name: str) -> None:
        kind, values = spec["_type"], spec["_value"]
        if kind == "choice" and any(isinstance(value, Mapping) for value in values):
            self._read_options(values, branch, name)
            return
        made = of_values(values) if kind == "choice" else of_numbers(kind, values)
        if isinstance(made, str):
            place, key = f"{branch.places}{name}._value", f"{branch.names}{name}._value"
            self.wrong(place, key, brief(values), made)
        else:
            self._add(f"{branch.ids}{name}", made, branch, name)

    def _read_options(self, options: list[Any], branch: _Branch, name: str) -> None:
        key, place = f"{branch.names}{name}", f"{branch.places}{name}._value"
        before = len(self.problems)
        found: dict[str, int] = {}
        for index, option in enumerate(options):
            own = option.get("_name") if isinstance(option, Mapping) else None
            if not isinstance(own, str) or not own or set(own) & set("[]"):
                expected = "a mapping with a `_name` that is text without brackets, as its siblings"
                self.wrong(f"{place}.{index}", key, brief(option), expected)
            elif own in found:
                self.wrong(f"{place}.{index}._name", key, f"the option {own!r} twice", "distinct options")
            else:
                found[own] = index
        if len(self.problems) > before:
            return
        chooser = f"{branch.ids}{name}._name"
        self._add(chooser, Categorical(choices=tuple(found)), branch, name)
        for own, index in found.items():
            below = _Branch(
                ids=f"{branch.ids}{name}[{own}].",
                names=f"{key}.",
                places=f"{place}.{index}.",
                condition=(chooser, own),
            )
            self.read({child: spec for child, spec in options[index].items() if child != "_name"}, below)

    def _add(self, key: str, parameter: Parameter, branch: _Branch, name: str) -> None:
        self.parameters[key] = parameter
        self.places[key] = f"{branch.places}{name}"
        if branch.condition:
            self.conditions[key] = branch.condition

    def _exclusive(self, first: str, second: str) -> bool:
        """Say whether the two belong to different options of one choice, so that they are never active together."""
        ours, theirs = self.conditions.get(first), self.conditions.get(second)
        if ours and theirs and ours[0] == theirs[0] and ours[1] != theirs[1]:  # nearly all pairs
            return True
        needed = self._needed(first)
        return any(needed.get(chooser, option) != option for chooser, option in self._needed(second).items())

    def _needed(self, key: str) -> dict[str, str]:
        needed: dict[str, str] = {}
        while key in self.conditions:
            key, option = self.conditions[key]
            needed[key] = option
        return needed


def brief(value: Any) -> str:
    """Return the value as JSON would have it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _spec(space: Space, key: str) -> dict[str, Any]:
    parameter = space.parameters[key]
    if isinstance(parameter, Categorical) and key.endswith("._name"):
        return {"_type": "choice", "_value": [_option(space, key, name) for name in parameter.choices]}
    return spec_of(parameter)


def _option(space: Space, key: str, option: str) -> dict[str, Any]:
    prefix = f"{key.removesuffix('._name')}[{option}]."
    children = [child for child, condition in space.conditions.items() if condition == (key, option)]
    specs = {child.removeprefix(prefix).removesuffix("._name"): _spec(space, child) for child in children}
    return {"_name": option, **specs}
