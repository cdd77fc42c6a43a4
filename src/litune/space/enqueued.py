"""The trials that a person asks for (search.enqueue): read, and checked against the space before anything starts.

An entry holds params by dotted key, or in sections, as NNI writes nested choices; what it leaves out is suggested. The
word `config` stands for the config's own values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from litune.config import config as configs
from litune.config import nodes
from litune.config.documents import leaves
from litune.config.schema import DRAWING
from litune.errors import Problem
from litune.space import misfits
from litune.space.parameters import Normal
from litune.space.space import Space, name_of
from litune.targets.signatures import TARGET

KEY = "search.enqueue"
CONFIG = "config"
_ABSENT = object()


def read(config: DictConfig, space: Space) -> tuple[Mapping[str, Any], ...]:
    """Return the entries, each value as the space itself would give it; they must be free of problems."""
    return tuple(
        of_config(config, space) if entry == CONFIG else _as_drawn(dict(leaves(entry)), space)
        for entry in _entries(config)
    )


def of_config(config: DictConfig, space: Space) -> dict[str, Any]:
    """Return the params that the config itself has, as far as they lie in the space, each as the space has it."""
    held = {name: value for name in space.names if (value := _value(config, name)) is not _ABSENT}
    placed = {id_: value for id_, value in space.placed(held).items() if space.parameters[id_].contains(value)}
    return _as_drawn({name_of(id_): value for id_, value in placed.items()}, space)


def _value(config: DictConfig, name: str) -> Any:
    """Return what the config has under a param's name; for a choice among sections the name of the one that it has."""
    section, _, last = name.rpartition(".")
    if f".{last}" == configs.CHOICE_SUFFIX:
        chosen = isinstance(nodes.node_at(config, section), DictConfig)
        places = [f"{section}.{TARGET}", name] if chosen else [section]
        return next((value for place in places if (value := _value_at(config, place)) is not _ABSENT), _ABSENT)
    return _value_at(config, name)


def _value_at(config: DictConfig, key: str) -> Any:
    node = nodes.node_at(config, key)
    if node is not None and node._is_none():
        return None
    value = OmegaConf.select(config, key, throw_on_resolution_failure=False)
    return _ABSENT if value is None else OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def check(config: DictConfig, space: Space) -> Iterator[Problem]:
    """Yield what is wrong with the entries, and with having any in this search."""
    entries = _entries(config)
    if entries:
        yield from refuse_foreign(config, KEY)
    for number, entry in enumerate(entries):
        key = f"{KEY}.{number}"
        if entry == CONFIG:
            entry = of_config(config, space)
            if not entry:
                expected = "a config that has a value of a searched param, within the space"
                yield Problem(key=key, got=CONFIG, expected=expected)
                continue
        if isinstance(entry, Mapping) and entry:
            whole = config.search.algorithm == "repeat"
            cure = "search.algorithm=repeat suggests none" if whole else ""
            for problem in misfits.problems(dict(leaves(entry)), space, whole=whole):
                own = cure if problem.got == misfits.ABSENT else ""
                yield replace(problem, key=f"{key}.{problem.key}", cure=own)
        else:
            yield Problem(key=key, got=repr(entry), expected="params: {model.hidden: 64, ...}, or config")
    if config.search.algorithm == "repeat" and not entries:
        yield Problem(key=KEY, got="nothing", expected="the params that search.algorithm=repeat is to train")


def refuse_foreign(config: DictConfig, key: str) -> Iterator[Problem]:
    """Yield a problem where it is not the study that chooses the params, so that it cannot heed `key`."""
    for name in DRAWING:
        if config.backend.get(name) is not None:
            cure = f"leave out either of the two; without backend.{name} search.algorithm draws the params"
            expected = f"nothing beside backend.{name}, whose draws it cannot change"
            yield Problem(key=key, got="a list", expected=expected, cure=cure)


def _entries(config: DictConfig) -> list[Any]:
    entries = OmegaConf.to_container(config.search.enqueue, resolve=True)
    assert isinstance(entries, list)
    return entries


def _as_drawn(params: Mapping[str, Any], space: Space) -> dict[str, Any]:
    own = {}
    for id_, value in space.placed(params).items():
        parameter = space.parameters[id_]
        exact = not isinstance(parameter, Normal) or parameter.q is not None  # a normal gives it back to 1e-12 only
        own[name_of(id_)] = parameter.decode(parameter.encode(value)) if exact else float(value)
    return own
