"""OmegaConf's nodes by dotted key, and which keys a config has or may be given."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig


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


def _keys(section: DictConfig, prefix: str) -> Iterator[str]:
    if section._is_none() or section._is_missing() or section._is_interpolation():
        return
    for name in map(str, section):
        yield f"{prefix}{name}"
        child = section._get_node(name)
        if isinstance(child, DictConfig):
            yield from _keys(child, f"{prefix}{name}.")


def text_keys(value: Any) -> Any:
    """Return a plain value whose keys are text, as JSON has them: "4" for 4."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else json.dumps(key): text_keys(item) for key, item in value.items()}
    return [text_keys(item) for item in value] if isinstance(value, list) else value


def settable(config: DictConfig, key: str) -> bool:
    """Say whether the key may be set: it is a field of a closed section, or any in an open one."""
    parent, _, name = key.rpartition(".")
    section = node_at(config, parent) if parent else config
    if not isinstance(section, DictConfig):
        return False
    return section._get_node(name, validate_access=False) is not None or not dataclasses.is_dataclass(
        section._metadata.object_type
    )


def is_closed(node: Any) -> bool:
    """Say whether the node is a section whose keys the schema knows."""
    return isinstance(node, DictConfig) and dataclasses.is_dataclass(node._metadata.object_type)
