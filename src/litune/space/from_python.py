"""A search space, and the queue of its first trials, as Python code gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from litune.config import from_python
from litune.errors import InputError, Problem
from litune.space import kinds, space_file
from litune.space.space import Space


def space(given: Mapping[str, Any] | str | Path, problems: list[Problem], *, prefix: str) -> Space | None:
    """Return the space of ranges by their keys, or of a file; None where `problems` takes up what is wrong with it.

    `prefix` comes before the keys that lack it: a function's params are a section of the config.
    """
    if not isinstance(given, (Mapping, str, Path)):
        expected = "the ranges by their keys, or the path of a search space file"
        problems.append(Problem(key="space", got=repr(given), expected=expected))
        return None
    try:
        if not isinstance(given, Mapping):
            return space_file.load(Path(given))
        before = len(problems)
        given = {_prefixed(str(key), prefix): value for key, value in given.items()}
        problems += [problem for key, value in given.items() for problem in _unclear(key, value)]
        specs = {key: kinds.written(value) for key, value in given.items()}
        specs = {key: from_python.plain(spec, key, problems) for key, spec in specs.items()}
        return space_file.parse(specs) if len(problems) == before else None
    except InputError as error:
        problems += [replace(problem, key=problem.key or "space") for problem in error.problems]
        return None


def _unclear(key: str, value: Any) -> Iterator[Problem]:
    """Yield what is neither a list nor a range; of two numbers in a tuple each may be meant."""
    if isinstance(value, (tuple, range, bool, int, float, str)):
        pair = list(value) if isinstance(value, tuple) and len(value) == 2 else None
        cure = f"litune.uniform{value} is a range, {pair} are two values" if pair else ""
        expected = "a list of the values, as [1, 2], or a range, as litune.uniform(0, 1)"
        yield Problem(key=key, got=repr(value), expected=expected, cure=cure)
    for option in value if isinstance(value, list) else ():
        if isinstance(option, Mapping) and "_name" in option:
            for name, item in option.items():
                yield from _unclear(f"{key}.{name}", item) if name != "_name" else ()


def queue(entries: Any, *, prefix: str) -> Any:
    """Return search.enqueue with the params under the keys that the space has them by."""
    if not isinstance(entries, list):
        return entries
    own = prefix.removesuffix(".")
    return [
        {name if name == own else _prefixed(str(name), prefix): value for name, value in entry.items()}
        if isinstance(entry, Mapping)
        else entry
        for entry in entries
    ]


def _prefixed(key: str, prefix: str) -> str:
    return key if key.startswith(prefix) else f"{prefix}{key}"
