"""The typed configuration, and merging params into it. The only file about OmegaConf's types; the fields: schema.py."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf._utils import get_omega_conf_dumper
from omegaconf.errors import InterpolationKeyError, InterpolationResolutionError, OmegaConfBaseException
from omegaconf.nodes import AnyNode, FloatNode, IntegerNode

from litune.config.documents import read
from litune.config.schema import BACKENDS, MISSING, OPEN_SECTIONS, Config
from litune.errors import InputError, Problem, nearest
from litune.objective import Objective

CHOICE_SUFFIX = "._name"
_LISTED = 20  # a longer list of names would hide the rest of the message


def schema() -> DictConfig:
    """Return the empty typed config; new keys are welcome in its open sections and nowhere else."""
    node = OmegaConf.structured(Config)
    assert isinstance(node, DictConfig)
    for name in OPEN_SECTIONS:
        node._get_node(name)._set_flag("struct", False)  # type: ignore[union-attr]
    return node


def backend_schema(name: str) -> DictConfig:
    """Return the section of the backend; an open one for a backend that is not ours."""
    if name in BACKENDS:
        section = OmegaConf.structured(BACKENDS[name])
    else:
        section = OmegaConf.create({"name": name}, flags={"struct": False})
    assert isinstance(section, DictConfig)
    return section


def from_plain(data: Mapping[str, Any]) -> DictConfig:
    """Return the typed, read-only config of what to_plain or snapshot wrote; raise InputError where it does not fit."""
    config = schema()
    values = dict(data)
    backend = values.pop("backend", None)
    problems = []
    if isinstance(backend, Mapping) and isinstance(backend.get("name"), str):
        config.backend = backend_schema(backend["name"])
        values["backend"] = backend
    elif backend not in (None, MISSING):
        problems.append(Problem(key="backend", got=_got(backend), expected="a section with the backend's name"))
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
    import path (it has a dot), else by {_name: name} as NNI hands it over; the chosen section's other params follow.
    """
    merged = copy.deepcopy(config) if keep else config
    OmegaConf.set_readonly(merged, None)
    chosen = {key.removesuffix(CHOICE_SUFFIX): value for key, value in params.items() if key.endswith(CHOICE_SUFFIX)}
    problems = []
    for key, name in sorted(chosen.items(), key=lambda item: item[0].count(".")):
        section = {"_target_" if "." in str(name) else "_name": str(name)}
        problems.append(assign(merged, key, section))
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


def assign(config: DictConfig, key: str, value: Any) -> Problem | None:
    """Set one dotted key in place, cast to its type, and return what is wrong with it, if anything."""
    first = key.partition(".")[0]
    field_node = node_at(config, key)
    try:
        if first not in OPEN_SECTIONS and not _known(config, key):
            return unknown_key(key, known_keys(config))
        OmegaConf.update(config, key, cast(value, field_node), merge=False)
    except (OmegaConfBaseException, ValueError, AssertionError):
        cure = f"{key}: {{_target_: {value}}}" if isinstance(value, str) and key in OPEN_SECTIONS else ""
        return Problem(key=key, got=_got(value), expected=expected_of(field_node, key), cure=cure)
    return None


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
    spelt = ".".join([*parts[:depth], alike, *parts[depth + 1 :]]) if alike else nearest(key, elsewhere)
    suggestion = namesakes[0] if len(namesakes) == 1 else spelt
    names = f"one of {', '.join(own)}" if len(siblings) <= _LISTED else "a key"
    return Problem(
        key=key, got="an unknown key", expected=f"{names} of {above}" if above else names, nearest=suggestion
    )


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


def expected_of(node: Any, key: str) -> str:
    """Say in words what the field takes."""
    if node is None:
        return f"a section above {key} that can hold it"
    if isinstance(node, ListConfig):
        return "a list: [...]"
    kind = node._metadata.ref_type
    if dataclasses.is_dataclass(kind) or isinstance(node, DictConfig):
        first = next(iter(node), None) if _is_closed(node) else None
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


def node_at(config: DictConfig, key: str) -> Any:
    """Return the OmegaConf node under the dotted key, or None."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing() or node._is_interpolation():
            return None
        node = node._get_node(part, validate_access=False)
    return node


def known_keys(config: DictConfig) -> list[str]:
    """Return every dotted key of the config, sections included."""
    return list(_keys(config, ""))


def objective(config: DictConfig) -> Objective:
    """Return what the config's section `objective` says."""
    return Objective(**plain(config.objective))


def plain(section: Any) -> dict[str, Any]:
    """Return a section as plain resolved values; the caller may change them."""
    if not isinstance(section, DictConfig):
        return copy.deepcopy(dict(section))
    values = OmegaConf.to_container(section, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Return the whole config as JSON values, interpolations resolved."""
    return plain(config)


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


def unresolved(config: DictConfig) -> Iterator[Problem]:
    """Yield what must be given and is not, and the interpolations that lead nowhere."""
    plain_values = OmegaConf.to_container(config, resolve=False)
    for key, written in _texts(plain_values):
        if written == "???":
            yield Problem(key=key, got="nothing", expected="a value")
        elif "${" in written:
            try:
                OmegaConf.to_container(OmegaConf.create({"value": OmegaConf.select(config, key)}), resolve=True)
            except (OmegaConfBaseException, RecursionError) as error:
                yield _dangling(key, written, error)


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


def _known(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    section = node_at(config, parent) if parent else config
    if not isinstance(section, DictConfig):
        return False
    return section._get_node(name, validate_access=False) is not None or not dataclasses.is_dataclass(
        section._metadata.object_type
    )


def _keys(section: DictConfig, prefix: str) -> Iterator[str]:
    if section._is_none() or section._is_missing() or section._is_interpolation():
        return
    for name in map(str, section):
        yield f"{prefix}{name}"
        child = section._get_node(name)
        if isinstance(child, DictConfig):
            yield from _keys(child, f"{prefix}{name}.")


def _items(config: DictConfig, data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) down to where the config holds values: a closed section is taken key by key."""
    for name, value in data.items():
        key = f"{prefix}{name}"
        node = node_at(config, key)
        if _is_closed(node) and isinstance(value, Mapping):
            yield from _items(config, value, f"{key}.")
        else:
            yield key, value


def _is_closed(node: Any) -> bool:
    return isinstance(node, DictConfig) and dataclasses.is_dataclass(node._metadata.object_type)


def _got(value: Any) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return "null" if value is None else repr(value)
