"""YAML and JSON files read with the line of each key, and everything that is wrong with one found at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from litune.errors import InputError, Problem, nearest

_PLAIN_TAG = "tag:yaml.org,2002:"
_CONTAINER_TAGS = (f"{_PLAIN_TAG}map", f"{_PLAIN_TAG}seq")
_RESOLVER = yaml.SafeLoader("")
_MOST_VALUES = 200_000  # counted again where an alias repeats them


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
        name = display_path(self.path)
        return f"{name}:{self.lines[key]}" if key else name


def leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of everything in `data` that is not a mapping with entries."""
    for name, value in data.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{key}.")
        else:
            yield key, value


def display_path(path: Path) -> str:
    """Return the path as a person would type it: relative where it lies below the current directory."""
    here = Path.cwd()
    absolute = here / path
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def read(path: Path, *, largest: int = 1 << 20) -> Document:
    """Read a YAML or JSON mapping of at most `largest` bytes; raise InputError with all that is wrong with the file."""
    text = _text(path, largest)
    name = display_path(path)
    try:
        return _parsed(path, text, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(_syntax(name, mark.line + 1 if mark else None, error)) from error
    except yaml.YAMLError as error:
        raise InputError(_syntax(name, None, error)) from error
    except (OmegaConfBaseException, ValueError, OverflowError) as error:
        raise InputError(Problem(where=name, got=_first_line(error), expected="valid YAML")) from error
    except RecursionError:
        raise InputError(Problem(where=name, got="hundreds of levels", expected="less nesting")) from None


def _parsed(path: Path, text: str, name: str) -> Document:
    plain = _json(text)
    if plain is not None:
        text = text.replace("\t", " ")  # which YAML refuses as indentation; inside JSON's strings they are escaped
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        raise InputError(Problem(where=name, got="an empty file", expected="keys and values"))
    if not isinstance(root, yaml.MappingNode):
        raise InputError(Problem(where=f"{name}:1", got=f"a {root.id}", expected="keys and values (`key: value`)"))
    if _values(root, {}) > _MOST_VALUES:
        raise InputError(Problem(where=name, got="aliases that multiply without end", expected="plain values"))
    lines: dict[str, int] = {}
    problems = list(_walk(root, "", name, lines))
    if problems:
        raise InputError(problems)
    if plain is None:
        plain = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    assert isinstance(plain, dict)
    return Document(path=path, data={str(key): value for key, value in plain.items()}, lines=lines)


def _json(text: str) -> Any:
    """Return the value of strict JSON, which YAML would read a little differently; None for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(path: Path, largest: int) -> str:
    name = display_path(path)
    content = b""
    try:
        if path.is_dir():
            raise InputError(Problem(where=name, got="a directory", expected="a YAML file"))
        if path.exists() and not path.is_file():
            raise InputError(Problem(where=name, got="a pipe or a device", expected="a YAML file"))
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise InputError(Problem(where=name, got="more than that", expected=f"at most {largest:,} bytes"))
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        looked = f"looked for {Path.cwd() / path}"
        near = _nearest_file(path)
        raise InputError(
            Problem(where=name, got="no such file", expected="a YAML file", nearest=near, cure=looked)
        ) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        got = f"a byte that is not UTF-8 (0x{error.object[error.start]:02x})"
        raise InputError(Problem(where=f"{name}:{line}", got=got, expected="text in UTF-8")) from None
    except OSError as error:
        raise InputError(Problem(where=name, got=error.strerror or str(error), expected="a readable file")) from error
    except ValueError as error:
        raise InputError(Problem(where=repr(name), got=str(error), expected="the path of a file")) from None


def _nearest_file(path: Path) -> str | None:
    """Return the file beside where `path` would be whose name is most like its name, or None."""
    try:
        found = nearest(path.name, sorted(entry.name for entry in path.parent.iterdir() if entry.is_file()))
    except OSError:
        return None
    return display_path(path.parent / found) if found else None


def _syntax(name: str, line: int | None, error: yaml.YAMLError) -> Problem:
    text = getattr(error, "problem", None) or _first_line(error)
    context = getattr(error, "context", None)
    got = f"{text} {context}" if context else text
    cure = "indent with spaces, not tabs" if r"\t" in text else ""
    return Problem(where=f"{name}:{line}" if line else name, got=got, expected="valid YAML", cure=cure)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _walk(node: yaml.Node, prefix: str, name: str, lines: dict[str, int]) -> Iterator[Problem]:
    """Note the line of every key under `node`; yield duplicate keys, keys and values that are not text, and tags."""
    where = f"{name}:{node.start_mark.line + 1}"
    if node.tag not in (_looked_for(node), f"{_PLAIN_TAG}str"):
        tag = node.tag.replace(_PLAIN_TAG, "!!")
        yield Problem(where=where, key=prefix.rstrip("."), got=f"the tag {tag}", expected="a plain value")
    if isinstance(node, yaml.ScalarNode) and not _is_text(node.value):
        yield Problem(where=where, key=prefix.rstrip("."), got="half of a character", expected="whole ones")
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            lines[f"{prefix}{index}"] = child.start_mark.line + 1
            yield from _walk(child, f"{prefix}{index}.", name, lines)
    if not isinstance(node, yaml.MappingNode):
        return
    for key_node, child in node.value:
        where = f"{name}:{key_node.start_mark.line + 1}"
        if isinstance(key_node, yaml.ScalarNode) and not _is_text(key_node.value):
            got = f"the key {key_node.value!a}"
            yield Problem(where=where, key=prefix.rstrip("."), got=got, expected="whole characters")
            continue
        if key_node.tag != f"{_PLAIN_TAG}str":
            got = f"the key {key_node.value if isinstance(key_node.value, str) else key_node.id}"
            cure = "quote it" if key_node.tag not in _CONTAINER_TAGS else ""
            yield Problem(where=where, key=prefix.rstrip("."), got=got, expected="a key that is text", cure=cure)
            continue
        key = f"{prefix}{key_node.value}"
        if key in lines:
            yield Problem(where=where, key=key, got="the key again", expected=f"it once (it is on line {lines[key]})")
            continue
        lines[key] = key_node.start_mark.line + 1
        yield from _walk(child, f"{key}.", name, lines)


def _looked_for(node: yaml.Node) -> str:
    """Return the tag that the node has where none is written."""
    plain = not isinstance(node, yaml.ScalarNode) or node.style is None
    return str(_RESOLVER.resolve(type(node), node.value, (plain, not plain)))


def _is_text(value: str) -> bool:
    """Say whether the text is whole characters; JSON's escapes can name half of one."""
    try:
        value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeError:
        return False
    return True


def _values(node: yaml.Node, known: dict[int, float]) -> float:
    """Return how many values the node holds, those of aliases each time; infinity where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        children = node.value if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            children = [child for _, child in node.value]
        known[id(node)] = 1 + sum(_values(child, known) for child in children)
    return known[id(node)]
