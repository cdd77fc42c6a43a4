"""The typed config: made, merged with params, and written out. Its fields: schema.py; setting one: assigning.py."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_omega_conf_dumper

from litune.config.assigning import assign, format_value
from litune.config.documents import read
from litune.config.nodes import is_closed, node_at, text_keys
from litune.config.schema import BACKENDS, MISSING, OPEN_SECTIONS, Config
from litune.errors import InputError, Problem
from litune.objective import Objective

CHOICE_SUFFIX = "._name"


def schema() -> DictConfig:
    """Return the empty typed config; new keys are welcome in its open sections and nowhere else."""
    node = OmegaConf.structured(Config)
    assert isinstance(node, DictConfig)
    return _opened(node)


def _opened(config: DictConfig) -> DictConfig:
    for name in OPEN_SECTIONS:
        config._get_node(name)._set_flag("struct", False)  # type: ignore[union-attr]
    return config


def backend_schema(name: str) -> DictConfig:
    """Return the section of the backend; an open one for a backend that is not ours."""
    if name in BACKENDS:
        section = OmegaConf.structured(BACKENDS[name])
    else:
        section = OmegaConf.create({"name": name}, flags={"struct": False})
    assert isinstance(section, DictConfig)
    return section


def from_plain(data: Mapping[str, Any]) -> DictConfig:
    """Return the typed, read-only config of what plain or snapshot gave; raise InputError where it does not fit."""
    config = schema()
    values = text_keys(data)
    backend = values.pop("backend", None)
    problems = []
    if isinstance(backend, Mapping) and isinstance(backend.get("name"), str):
        config.backend = backend_schema(backend["name"])
        values["backend"] = backend
    elif backend not in (None, MISSING):
        problems.append(Problem(key="backend", got=format_value(backend), expected="a section with the backend's name"))
    problems += [problem for key, value in _items(config, values) if (problem := assign(config, key, value))]
    if problems:
        raise InputError(problems)
    return sealed(config)


def load(path: Path) -> DictConfig:
    """Return the typed, read-only config that snapshot wrote into a file."""
    return from_plain(read(path).data)


def sealed(config: DictConfig) -> DictConfig:
    """Make the config read-only, its absent sections empty, and return it."""
    for name in OPEN_SECTIONS:
        if config._get_node(name)._is_none():  # type: ignore[union-attr]
            config[name] = {}
    OmegaConf.set_readonly(config, True)
    return config


def merge(config: DictConfig, params: Mapping[str, Any], *, keep: bool = True) -> DictConfig:
    """Return a new read-only config with the params (dotted key -> value) in it; raise InputError for all that misfit.

    A config that need not be kept is changed itself: copying one takes the most of this.

    Values are cast to the field's type: numpy scalars, 64.0 for an int; 0.5 for an int is an error. In an open section
    the type is that of the value it replaces; targets.typed() casts by the signature.

    `KEY._name` chooses among sections (NNI's nested choice): KEY is replaced by {_target_: name} where the name is an
    import path (it has a dot), else by {_name: name} as NNI hands it over; the chosen section's other params follow. A
    section that is of that name already keeps its other arguments.
    """
    merged = copy.deepcopy(config) if keep else config
    OmegaConf.set_readonly(merged, None)
    chosen = {key.removesuffix(CHOICE_SUFFIX): value for key, value in params.items() if key.endswith(CHOICE_SUFFIX)}
    problems = []
    for key, name in sorted(chosen.items(), key=lambda item: item[0].count(".")):
        word = "_target_" if "." in str(name) else "_name"
        present = node_at(merged, f"{key}.{word}")
        if present is None or present._value() != str(name):
            problems.append(assign(merged, key, {word: str(name)}))
    problems += [assign(merged, key, value) for key, value in params.items() if not key.endswith(CHOICE_SUFFIX)]
    found = [problem for problem in problems if problem]
    if found:
        raise InputError(found)
    return sealed(merged)


def replaced(config: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """Return a new read-only config with values (dotted key -> value) that are of the right types already."""
    new = copy.deepcopy(config)
    OmegaConf.set_readonly(new, None)
    for key, value in values.items():
        OmegaConf.update(new, key, value, merge=False)
    return sealed(new)


def objective(config: DictConfig) -> Objective:
    """Return what the config's section `objective` says."""
    return Objective(**plain(config.objective))


def give_text_keys(config: DictConfig) -> None:
    """Give the open sections the keys that they have once they are stored."""
    for name in OPEN_SECTIONS:
        written = OmegaConf.to_container(config._get_node(name), resolve=False)
        if (meant := text_keys(written)) != written:
            config[name] = meant
    _opened(config)


def plain(section: Any) -> dict[str, Any]:
    """Return a section, or the whole config, as plain resolved values; the caller may change them."""
    if not isinstance(section, DictConfig):
        return copy.deepcopy(dict(section))
    values = OmegaConf.to_container(section, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def stored(config: DictConfig) -> dict[str, Any]:
    """Return the whole config as JSON values, interpolations as written."""
    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def snapshot(config: DictConfig) -> str:
    """Return the config as YAML, interpolations as written, so that no secret of the environment gets into a file."""
    values = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    text: str = yaml.dump(values, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=_dumper())
    return text


@functools.cache
def _dumper() -> Any:
    """Return what OmegaConf.to_yaml writes with, on libyaml where it is there: every trial writes its config."""
    kind = type("Dumper", (getattr(yaml, "CDumper", yaml.Dumper),), {})
    kind.add_representer(str, get_omega_conf_dumper().str_representer)  # type: ignore[attr-defined]
    return kind


def _items(config: DictConfig, data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) down to where the config holds values: a closed section is taken key by key."""
    for name, value in data.items():
        key = f"{prefix}{name}"
        node = node_at(config, key)
        if is_closed(node) and isinstance(value, Mapping):
            yield from _items(config, value, f"{key}.")
        else:
            yield key, value
