"""The text of --help: every field with its meaning and default, and what there is to choose from."""

from __future__ import annotations

import dataclasses
import itertools
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from litune.config.schema import BACKENDS, MISSING, OPEN_SECTIONS, Config

_COLUMN = 34
_WIDTH = 118

SEARCH = """\
usage: {program} [KEY=VALUE ...] [options]

Search the best hyperparameters of a Lightning model. The same command again continues the search.

  {program} backend=optuna experiment=digits_mlp search.trials=20 trainer.max_epochs=5

  --detach              search in the background, printing into runs/NAME/search.log; this command returns at once
  --join                if another command is at work on this search, follow it until it ends
"""

TRAIN = """\
usage: {program} [KEY=VALUE ...] [options]
       {program} --config-file runs/NAME/best.yaml [KEY=VALUE ...]
       {program} replay=runs/NAME trial=7

Train once with no tuner; or train a search's best again; or run a recorded trial again and compare it bit by bit.
"""

OPTIONS = """
options:
  -h, --help            this page
  -m, --multirun        one run for each combination of KEY=A,B,C
  -c, --cfg job         print the config instead of running (job, hydra or all); --resolve: interpolations too;
                        -p, --package KEY: that part of it
  --config-dir DIR      look for DIR/experiment/NAME.yaml first, and for groups of your own
  --config-file FILE    take FILE as the experiment, for example runs/NAME/best.yaml
  --info [WHAT]         how Hydra composes the config: all, config, defaults, defaults-tree, plugins, searchpath
  -sc install=bash      print the completion for your shell: eval "$({program} -sc install=bash)"
"""


def text(usage: str, program: str, experiments: Mapping[str, Path], backends: list[str]) -> str:
    """Return the whole page."""
    blocks = [usage.format(program=program) + OPTIONS.format(program=program)]
    names = ", ".join(sorted(experiments)) or "none found here (experiments/*.yaml)"
    blocks.append(f"experiment=NAME   {names}\nbackend=NAME      {', '.join(backends)}\n")
    blocks.append("\n".join(_section(Config, "")))
    closed = {f.name: f for f in dataclasses.fields(Config) if dataclasses.is_dataclass(f.default_factory)}
    for name, field in closed.items():
        assert isinstance(field.default_factory, type)
        rows = _section(field.default_factory, f"{name}.")
        blocks.append("\n".join([_title(name, field.metadata["help"]), *rows]))
    for name, kind in BACKENDS.items():
        rows = itertools.islice(_section(kind, "backend."), 1, None)  # the first is its name, which the title says
        blocks.append("\n".join([_title(f"backend={name}", (kind.__doc__ or "").rstrip(".")), *rows]))
    return "\n\n".join(block.rstrip("\n") for block in blocks)


def _title(name: str, meaning: str) -> str:
    return textwrap.fill(f"{name}: {meaning}", _WIDTH)


def _section(kind: type, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(kind):
        section = field.default_factory
        if isinstance(section, type) and dataclasses.is_dataclass(section) and prefix:
            yield from _section(section, f"{prefix}{field.name}.")
            continue
        if dataclasses.is_dataclass(section) or field.name == "backend":
            continue
        default = _default(field)
        head = f"  {prefix}{field.name}" + (".KEY" if field.name in OPEN_SECTIONS else f"={default}")
        meaning = field.metadata["help"]
        if choices := field.metadata.get("choices"):
            meaning += f" ({', '.join(choices)})"
        yield _row(head, meaning)


def _row(head: str, meaning: str) -> str:
    lines = textwrap.wrap(meaning, _WIDTH - _COLUMN)
    first = f"{head:<{_COLUMN}}{lines[0]}" if len(head) < _COLUMN else f"{head}\n{' ' * _COLUMN}{lines[0]}"
    return "\n".join([first, *(" " * _COLUMN + line for line in lines[1:])])


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return str(field.default_factory())
    if field.default == MISSING:
        return "(required)"
    return str(field.default) if isinstance(field.default, str) else json.dumps(field.default)  # null, true, 0.5
