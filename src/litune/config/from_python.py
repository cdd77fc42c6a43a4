"""Values that Python code gives, as YAML and JSON hold them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from litune.config.schema import OPEN_SECTIONS
from litune.errors import Problem

_EXPECTED = "a number, text, bool, None, path, member of an Enum, or list or dict of such"


def plain(value: Any, key: str, problems: list[Problem]) -> Any:
    """Return the value under a dotted key as plain data; `problems` takes up what cannot be held.

    A member of an Enum becomes its name, which the annotation of the argument makes a member again.
    """
    if isinstance(value, Mapping):
        return {
            _name(name, key, problems): plain(item, f"{key}.{name}".lstrip("."), problems)
            for name, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(item, f"{key}.{number}", problems) for number, item in enumerate(value)]
    scalar = _scalar(value)
    if scalar is None or isinstance(scalar, (bool, int, float, str)):
        return scalar
    problems.append(Problem(key=key, got=repr(value), expected=_EXPECTED, cure=_cure(value, key)))
    return None


def _cure(value: Any, key: str) -> str:
    if hasattr(value, "tolist"):
        return "give it as .tolist()"
    section, *path = key.split(".")
    cls = value if isinstance(value, type) else type(value)
    if section not in OPEN_SECTIONS or section == "function":
        return ""
    if "_value" not in path:
        return f"give what each trial makes it of: {{'_target_': {cls.__name__}, its arguments}}"
    dotted = f"'{cls.__module__}.{cls.__qualname__}'"
    return f"give {dotted}" if path[-1] == "_name" else f"give what each trial makes it of: {{'_name': {dotted}}}"


def _name(name: Any, key: str, problems: list[Problem]) -> Any:
    scalar = _scalar(name)
    if isinstance(scalar, (bool, int, float, str)):
        return scalar
    problems.append(Problem(key=key, got=f"the key {name!r}", expected="a key that is text"))
    return str(name)


def _scalar(value: Any) -> Any:
    """Return NumPy's and torch's scalars, paths and members of an Enum as what stands for them."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value
