"""Setting one field of the typed config: the value cast to its type, or what is wrong with key or value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.nodes import AnyNode, FloatNode, IntegerNode

from litune.config.former_options import FORMER
from litune.config.nodes import is_closed, known_keys, node_at, settable
from litune.config.schema import BACKENDS, GROUPS, OPEN_SECTIONS
from litune.errors import Problem, nearest

_LISTED = 20  # a longer list of names would hide the rest of the message


def assign(config: DictConfig, key: str, value: Any) -> Problem | None:
    """Set one dotted key in place, cast to its type, and return what is wrong with it, if anything."""
    first = key.partition(".")[0]
    field_node = node_at(config, key)
    try:
        if first not in OPEN_SECTIONS and not settable(config, key):
            return unknown_key(key, known_keys(config))
        OmegaConf.update(config, key, cast(value, field_node), merge=False)
    except (OmegaConfBaseException, ValueError, AssertionError):
        expected = _expected_of(field_node, key)
        return Problem(key=key, got=format_value(value), expected=expected, cure=_cure(key, value))
    return None


def _cure(key: str, value: Any) -> str:
    """Return how a section is written that was given as the name of a class, or as a list of sections."""
    if isinstance(value, list) and key in GROUPS:
        return f"give each a name: {key}: {{NAME: {{_target_: ...}}}}"
    if isinstance(value, str) and key in OPEN_SECTIONS:
        return f"{key}: {{NAME: {{_target_: {value}}}}}" if key in GROUPS else f"{key}: {{_target_: {value}}}"
    return ""


def unknown_key(key: str, known: Sequence[str]) -> Problem:
    """Return the problem of a key that no section has; `known` holds every dotted key, sections included."""
    parts = key.split(".")
    depth = next(n for n in range(len(parts)) if ".".join(parts[: n + 1]) not in known)
    above = ".".join(parts[:depth])
    siblings = [name for name in known if name.rpartition(".")[0] == above]
    own = [name.rpartition(".")[2] for name in siblings]
    alike = nearest(parts[depth], own)
    others = [name for name, kind in BACKENDS.items() if f"backend.{parts[-1]}" == key and parts[-1] in _fields(kind)]
    if others:
        got, expected = f"a key of backend={' or '.join(others)}", "one of the backend that is chosen"
        return Problem(key=key, got=got, expected=f"{expected}: {', '.join(own)}")
    if not siblings:
        return Problem(key=key, got="an unknown key", expected=f"no key below {above}", nearest=above)
    elsewhere = [name for name in known if not key.startswith(f"{name}.")]
    namesakes = [name for name in elsewhere if name.rpartition(".")[2] == parts[-1]]
    unknown = ".".join(parts[depth:])  # what is before it is a section, and makes no other of its keys alike
    spelt = ".".join([*parts[:depth], alike, *parts[depth + 1 :]]) if alike else nearest(unknown, elsewhere)
    suggestion = namesakes[0] if len(namesakes) == 1 else spelt
    if above in ("", "trainer"):
        suggestion = FORMER.get(parts[depth], suggestion)
    names = f"one of {', '.join(own)}" if len(siblings) <= _LISTED else "a key"
    return Problem(
        key=key,
        got="an unknown key",
        expected=f"{names} of {above}" if above else names,
        nearest=suggestion,
        cure="" if above or suggestion else in_sections(key, known),
    )


def in_sections(name: str, known: Collection[str]) -> str:
    """Return where an argument's name alone may belong: below each section of the config that names a class."""
    places = [f"{section}.{name}" for section in OPEN_SECTIONS if f"{section}._target_" in known]
    return f"for an argument of a class: {' or '.join(places)}" if places else ""


def _fields(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def cast(value: Any, node: Any) -> Any:
    """Return the value as the node's type would have it; raise ValueError where a cast would lose something."""
    if hasattr(value, "dtype") and hasattr(value, "item"):
        value = value.item()
    present = node._value() if isinstance(node, AnyNode) and not node._is_interpolation() else None
    if isinstance(value, float) and isinstance(node, IntegerNode):
        if not value.is_integer():
            raise ValueError(value)
        return int(value)
    if isinstance(value, bool) and isinstance(node, (IntegerNode, FloatNode)):
        raise ValueError(value)
    if isinstance(present, bool):
        return bool(value) if value in (0, 1) else value
    if isinstance(present, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(present, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def held(config: DictConfig, key: str, value: Any) -> Any:
    """Return a value that was assigned as the field holds it: 1000 for 1e3, which Hydra would refuse for an int."""
    node = node_at(config, key)
    return node._value() if isinstance(node, IntegerNode) and isinstance(value, float) else value


def _expected_of(node: Any, key: str) -> str:
    """Say in words what the field takes."""
    if node is None:
        return f"a section above {key} that can hold it"
    if isinstance(node, ListConfig):
        return "a list: [...]"
    kind = node._metadata.ref_type
    if dataclasses.is_dataclass(kind) or isinstance(node, DictConfig):
        first = next(iter(node), None) if is_closed(node) else None
        return f"its keys one by one: {key}.{first}=..." if first else "a section (keys and values)"
    parts = getattr(kind, "__args__", None) or (kind,)
    names = [getattr(part, "__name__", str(part)) for part in parts if part is not type(None)]
    return " or ".join(names + (["null"] if node._metadata.optional else [])) + _meaning(node)


def _meaning(node: Any) -> str:
    """Return what the schema says that a field means, in brief."""
    section = OmegaConf.get_type(node._get_parent())
    fields = dataclasses.fields(section) if dataclasses.is_dataclass(section) else ()
    meanings = [field.metadata["help"] for field in fields if field.name == node._key()]
    return "".join(f" ({meaning.partition(';')[0]})" for meaning in meanings)


def format_value(value: Any) -> str:
    """Return the value as a message has it."""
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return "null" if value is None else repr(value)
