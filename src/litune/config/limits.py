"""A config's values checked against the limits that schema.py gives its fields: choices, least, most and so on."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from litune.errors import Problem, nearest


def outside(kind: type, values: Mapping[str, Any], backend: type | None, prefix: str = "") -> Iterator[Problem]:
    """Yield the values of a section outside their field's limits; `backend` is the schema of the one chosen."""
    for field in dataclasses.fields(kind):
        value, key = values.get(field.name), f"{prefix}{field.name}"
        section = backend if key == "backend" else field.default_factory
        if dataclasses.is_dataclass(section) and isinstance(value, Mapping):
            yield from outside(section, value, backend, f"{key}.")
        elif value is not None:
            yield from _limit(key, value, field.metadata)


def _limit(key: str, value: Any, limits: Mapping[str, Any]) -> Iterator[Problem]:
    choices = limits.get("choices")
    if choices and value not in choices:
        cure = f"choose it by backend={value}" if key == "backend.name" else ""
        expected = f"one of {', '.join(choices)}"
        near = nearest(str(value), choices) or _begins(str(value), choices)
        yield Problem(key=key, got=repr(value), expected=expected, nearest=near, cure=cure)
    if not isinstance(value, limits.get("kinds", object)):
        yield Problem(key=key, got=repr(value), expected=limits["help"])
    if "form" in limits and not re.fullmatch(limits["form"], str(value)):
        yield Problem(key=key, got=repr(value), expected=limits["help"])
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        return
    if not math.isfinite(value):
        yield Problem(key=key, got=repr(value), expected="a finite number")
        return
    if limits.get("part") and isinstance(value, float) and not value <= 1:
        yield Problem(key=key, got=repr(value), expected="a whole number, or a fraction of at most 1.0")
    if "least" in limits and not value >= limits["least"]:
        yield Problem(key=key, got=repr(value), expected=f"at least {limits['least']}")
    if "most" in limits and not value <= limits["most"]:
        yield Problem(key=key, got=repr(value), expected=f"at most {limits['most']}")
    if "above" in limits and not value > limits["above"]:
        yield Problem(key=key, got=repr(value), expected=f"more than {limits['above']}")


def _begins(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that a longer word begins with: min for minimize."""
    return next((choice for choice in choices if word.lower().startswith(choice)), None)
