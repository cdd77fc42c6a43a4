"""YAML files read with the line of each key, and everything that is wrong with one found at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from litune.errors import InputError, Problem

_PLAIN_TAG = "tag:yaml.org,2002:"
_CONTAINER_TAGS = (f"{_PLAIN_TAG}map", f"{_PLAIN_TAG}seq")


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a YAML file holds: its mapping, interpolations as written, and the line (1, 2, ...) of each dotted key."""

    path: Path
    data: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """Return `FILE:LINE` of the key, or of the nearest key above it; the file alone where none is in it."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        name = shown(self.path)
        return f"{name}:{self.lines[key]}" if key else name

    def leaves(self) -> Iterator[tuple[str, Any]]:
        """Yield (dotted key, value) of everything that is not a mapping with entries."""
        yield from leaves(self.data)


def leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of everything in `data` that is not a mapping with entries."""
    for name, value in data.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{key}.")
        else:
            yield key, value


def shown(path: Path) -> str:
    """Return the path as a person would type it: relative where it lies below the current directory."""
    here = Path.cwd()
    absolute = here / path
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def read(path: Path) -> Document:
    """Read a YAML mapping; raise InputError with all that is wrong with the file."""
    text = _text(path)
    name = shown(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(_syntax(name, mark.line + 1 if mark else None, error)) from error
    except yaml.YAMLError as error:
        raise InputError(_syntax(name, None, error)) from error
    if root is None:
        raise InputError(Problem(where=name, got="an empty file", expected="keys and values"))
    if not isinstance(root, yaml.MappingNode):
        raise InputError(Problem(where=f"{name}:1", got=f"a {root.id}", expected="keys and values (`key: value`)"))
    lines: dict[str, int] = {}
    problems = list(_walk(root, "", name, lines))
    if problems:
        raise InputError(problems)
    try:
        data = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:
        raise InputError(Problem(where=name, got=_first_line(error), expected="valid YAML")) from error
    assert isinstance(data, dict)
    return Document(path=path, data={str(key): value for key, value in data.items()}, lines=lines)


def _text(path: Path) -> str:
    name = shown(path)
    if path.is_dir():
        raise InputError(Problem(where=name, got="a directory", expected="a YAML file"))
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        looked = f"looked for {Path.cwd() / path}"
        raise InputError(Problem(where=name, got="no such file", expected="a YAML file", cure=looked)) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        got = f"a byte that is not UTF-8 (0x{error.object[error.start]:02x})"
        raise InputError(Problem(where=f"{name}:{line}", got=got, expected="text in UTF-8")) from None
    except OSError as error:
        raise InputError(Problem(where=name, got=error.strerror or str(error), expected="a readable file")) from error


def _syntax(name: str, line: int | None, error: yaml.YAMLError) -> Problem:
    text = getattr(error, "problem", None) or _first_line(error)
    context = getattr(error, "context", None)
    got = f"{text} {context}" if context else text
    cure = "indent with spaces, not tabs" if r"\t" in text else ""
    return Problem(where=f"{name}:{line}" if line else name, got=got, expected="valid YAML", cure=cure)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _walk(node: yaml.Node, prefix: str, name: str, lines: dict[str, int]) -> Iterator[Problem]:
    """Note the line of every key under `node`; yield duplicate keys, keys that are not text, and tags."""
    where = f"{name}:{node.start_mark.line + 1}"
    if not node.tag.startswith(_PLAIN_TAG) or node.tag.startswith(f"{_PLAIN_TAG}python"):
        tag = node.tag.replace(_PLAIN_TAG, "!!")
        yield Problem(where=where, key=prefix.rstrip("."), got=f"the tag {tag}", expected="a plain value")
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _walk(child, f"{prefix}{index}.", name, lines)
    if not isinstance(node, yaml.MappingNode):
        return
    for key_node, child in node.value:
        where = f"{name}:{key_node.start_mark.line + 1}"
        if key_node.tag != f"{_PLAIN_TAG}str":
            got = f"the key {key_node.value if isinstance(key_node.value, str) else key_node.id}"
            cure = "quote it" if key_node.tag not in _CONTAINER_TAGS else ""
            yield Problem(where=where, key=prefix.rstrip("."), got=got, expected="a key that is text", cure=cure)
            continue
        key = f"{prefix}{key_node.value}"
        if key in lines:
            yield Problem(where=where, key=key, got="the key again", expected=f"it once (it is on line {lines[key]})")
        lines[key] = key_node.start_mark.line + 1
        yield from _walk(child, f"{key}.", name, lines)
