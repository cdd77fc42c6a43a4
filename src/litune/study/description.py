"""config.yaml and space.json in a run directory: the search as the commands beside it read it.

A kill or a full disk leaves each of them whole or absent, and what an older one left is mended when the search goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from litune import steps
from litune.config import config as configs
from litune.errors import InputError, Problem
from litune.space.space import Space
from litune.space.space_file import dump
from litune.space.space_file import load as load_space
from litune.study import identity

CONFIG, SPACE = "config.yaml", "space.json"
CURE = "restore it, or give the search's own command again, which writes it anew"


def read(directory: Path) -> tuple[DictConfig, Space]:
    """Return what the files say; InputError where one cannot be read."""
    config = configs.load(directory / CONFIG)
    if OmegaConf.is_missing(config, "backend"):
        expected = "a section with the backend's name, which ends a whole file"
        where = str(directory / CONFIG)
        raise InputError(Problem(where=where, key="backend", got="nothing", expected=expected, cure=CURE))
    return config, load_space(directory / SPACE)


def write(directory: Path, config: DictConfig, space: Space, *, anew: bool = False) -> None:
    """Write what is not there, or both `anew`."""
    for name, text in ((CONFIG, configs.snapshot(config)), (SPACE, json.dumps(dump(space), indent=2) + "\n")):
        if anew or not (directory / name).exists():
            _replace(directory / name, text)


def mend(directory: Path, config: DictConfig, space: Space, made: Mapping[str, Any]) -> None:
    """Write both anew where they cannot be read, or are of another search than the one that the ledger has."""
    try:
        whole = not identity.edited(made, *read(directory), directory)
    except InputError:
        whole = False
    if not whole:
        write(directory, config, space, anew=True)


def note_reach(directory: Path, config: DictConfig) -> None:
    """Have config.yaml say how far the search goes, where it now goes further: the same search again goes as far."""
    before = configs.load(directory / CONFIG)
    if _reach(config) > _reach(before):
        reach = {key: OmegaConf.select(config, key) for key in ("search.trials", "search.budget")}
        _replace(directory / CONFIG, configs.snapshot(configs.replaced(before, reach)))


def _reach(config: DictConfig) -> tuple[float, ...]:
    return steps.trials_in_all(config), steps.steps_in_all(config), config.search.budget.seconds or math.inf


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)
