"""What must still be given in a config (???), and interpolations (${...}) that cannot be resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import NoneType
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    OmegaConfBaseException,
)

from litune.config import nodes
from litune.config.schema import OPEN_SECTIONS
from litune.errors import Problem


def unresolved(config: DictConfig) -> Iterator[Problem]:
    """Yield what must be given and is not, and the interpolations that lead nowhere."""
    plain_values = OmegaConf.to_container(config, resolve=False)
    for key, written in _texts(plain_values):
        if written == "???":
            yield Problem(key=key, got="nothing", expected="a value")
        elif "${" in written:
            try:
                found = OmegaConf.create({"value": OmegaConf.select(config, key)})
                OmegaConf.to_container(found, resolve=True)
            except InterpolationToMissingValueError:
                continue  # what must be given is told for itself
            except (OmegaConfBaseException, RecursionError) as error:
                yield _dangling(key, written, error)
                continue
            if key in OPEN_SECTIONS and not isinstance(found.value, (DictConfig, NoneType)):
                yield Problem(key=key, got=written, expected="a section (keys and values)")


def as_written(config: DictConfig, problem: Problem) -> Problem:
    """Return the problem with the interpolation instead of its value, which may be a secret of the environment."""
    node = nodes.node_at(config, problem.key)
    return replace(problem, got=str(node._value())) if node is not None and node._is_interpolation() else problem


def _dangling(key: str, written: str, error: Exception) -> Problem:
    said = str(error).splitlines()[0]
    if isinstance(error, RecursionError) or "recursi" in said.lower():
        return Problem(key=key, got=written, expected="an interpolation that does not lead back to itself")
    if isinstance(error, (InterpolationKeyError, InterpolationResolutionError)):
        said = said.partition("while resolving interpolation: ")[2] or said
        return Problem(key=key, got=written, expected="an interpolation that can be resolved", cure=said)
    return Problem(key=key, got=written, expected="a value of the field's type", cure=said)


def _texts(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield prefix, value
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, item in pairs:
        yield from _texts(item, f"{prefix}.{name}" if prefix else str(name))
