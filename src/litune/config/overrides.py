"""The overrides of a command line, KEY=VALUE: read by Hydra's grammar, and each tried by itself on the typed config."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig

from litune.arguments import WHERE
from litune.config import assigning, nodes
from litune.config.schema import OPEN_SECTIONS
from litune.errors import InputError, Problem


def parse(overrides: Sequence[str], *, sweep: bool) -> tuple[list[Override], list[Problem]]:
    """Return the overrides that are well-formed, and the problems of the others."""
    parser = OverridesParser.create()
    parsed: list[Override] = []
    problems: list[Problem] = []
    for text in overrides:
        try:
            [override] = parser.parse_overrides([text])
        except HydraException as error:
            problems.append(_malformed(text, error))
            continue
        if override.is_sweep_override() and not sweep:
            value = text.partition("=")[2]
            cure = f"for a list write [{value}]; for one run each add -m"
            key = override.key_or_group
            problems.append(Problem(where=WHERE, key=key, got=value, expected="one value", cure=cure))
        else:
            parsed.append(override)
    return parsed, problems


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each run of a multirun; raise InputError for malformed ones."""
    parsed, problems = parse(overrides, sweep=True)
    if problems:
        raise InputError(problems)
    try:
        [batch] = BasicSweeper.split_arguments(parsed, None)
    except HydraException as error:
        expected = "values to try one after another, such as a,b,c"
        raise InputError(Problem(where=WHERE, got=str(error), expected=expected)) from error
    return batch


def _malformed(text: str, error: HydraException) -> Problem:
    key, equals, value = text.partition("=")
    if not equals:
        return Problem(where=WHERE, got=repr(text), expected="KEY=VALUE")
    example = f'{key}="{value}"' if not set(value) & set("'\"\\") else f'{key}="a value"'
    cure = f"quote it for the shell and for Hydra: '{example}'"
    said = str(error).splitlines()[0]
    return Problem(where=WHERE, key=key, got=repr(text), expected=f"a value of Hydra's grammar ({said})", cure=cure)


def tried(trial: DictConfig, override: Override) -> Problem | None:
    """Apply the override to the schema that already has the experiment's values; return what is wrong with it."""
    key = override.key_or_group
    if override.is_hydra_override():
        return None
    if override.package is not None:
        return Problem(key=f"{key}@{override.package}", got="a package", expected="KEY=VALUE")
    if override.is_delete():
        if nodes.node_at(trial, key) is None:
            return assigning.unknown_key(key, nodes.known_keys(trial))
        if key.partition(".")[0] not in OPEN_SECTIONS or key == "model":
            return Problem(key=key, got=f"~{key}", expected="a value: this key can be changed, not deleted")
        above, _, name = key.rpartition(".")
        if above:
            del nodes.node_at(trial, above)[name]
        else:
            trial[name] = {}
            trial[name]._set_flag("struct", False)
        return None
    if override.is_add() and key.partition(".")[0] not in OPEN_SECTIONS and nodes.node_at(trial, key) is not None:
        plain = str(override.input_line).lstrip("+")
        return Problem(key=key, got=str(override.input_line), expected=f"{plain}: the key is there already")
    return assigning.assign(trial, key, override.value())


def line_of(trial: DictConfig, override: Override) -> str:
    """Return the override as Hydra takes it."""
    line = str(override.input_line)
    given = None if override.is_delete() else override.value()
    held = assigning.held(trial, override.key_or_group, given)
    return line if held is given else f"{line.partition('=')[0]}={held}"
