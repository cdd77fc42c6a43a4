"""From command line and experiment to one typed config, by Hydra, with everything that is wrong found at once.

Hydra stops at the first mistake. So each override and each key of the experiment is first tried by itself on the typed
schema; those that fail become Problems, and Hydra composes the rest, so that later checks can go on with it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from omegaconf.nodes import AnyNode

from litune import backends
from litune.arguments import WHERE
from litune.config import assigning, experiments, hydra_app, interpolations, nodes
from litune.config import config as configs
from litune.config.documents import Document, read
from litune.config.hydra_app import DEFAULT_BACKEND, ExperimentSource
from litune.config.overrides import line_of, parse, tried
from litune.config.schema import BACKENDS, OPEN_SECTIONS
from litune.errors import InputError, Problem, nearest
from litune.targets.signatures import TARGET

_ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A config, what is wrong with it so far, and where each of its keys was given.

    Where it is not `resolvable`, an interpolation in it fails, and its values cannot be had.
    """

    config: DictConfig
    resolvable: bool
    problems: Sequence[Problem]
    overridden: frozenset[str]
    document: Document

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems with the place of their key, where they have none."""
        return [problem if problem.where else replace(problem, where=self.where(problem.key)) for problem in problems]

    def where(self, key: str) -> str:
        """Return where the key was given: command line, FILE:LINE, or the experiment's file."""
        parts = key.split(".")
        above = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        typed = not self.overridden.isdisjoint(above)
        if key not in self.document.lines:  # a class that was given asks for it, or a part of it was given
            typed |= not self.overridden.isdisjoint(f"{name}.{TARGET}" for name in above)
            typed |= any(given.startswith(f"{key}.") for given in self.overridden)
        if typed:
            return WHERE
        return self.document.where(key)


def compose(overrides: Sequence[str], *, config_dir: Path | None = None, config_file: Path | None = None) -> Composed:
    """Return the config of experiment and overrides; raise InputError where there is no config to go on with.

    The experiment is `config_file` if given, else the overrides' experiment=, else the default one.
    """
    if config_dir and not config_dir.is_dir():
        cure = f"looked for {config_dir.absolute()}"
        raise InputError(
            Problem(where=WHERE, key="--config-dir", got=str(config_dir), expected="a directory", cure=cure)
        )
    parsed, problems = parse(overrides, sweep=False)
    groups = {o.key_or_group: _word(o.value()) for o in parsed if _chooses(o)}
    document, found = _document(groups.get("experiment", experiments.default(config_dir)), config_dir, config_file)
    problems += found
    backend, found = _backend(groups.get("backend"), document, config_dir)
    problems += found
    trial = configs.schema()
    trial.backend = configs.backend_schema(backend)
    content, found = _fitting(trial, document, backend)
    problems += found
    kept, emptied, found = _kept(trial, parsed)
    problems += found
    if document is None:
        raise InputError(problems)
    try:
        config = _composed_by_hydra(document, content, [f"backend={backend}", *kept], config_dir, backend)
    except (HydraException, OmegaConfBaseException, AssertionError) as error:
        raise InputError([*problems, _translated(error, parsed, document)]) from error
    for name in emptied:
        config[name] = OmegaConf.to_container(trial, resolve=False)[name]  # type: ignore[call-overload,index]
    configs.give_text_keys(config)
    config.experiment = config.experiment or document.path.stem
    config.search.space = experiments.find_space(config.search.space, document.path)
    dangling = list(interpolations.unresolved(config))
    composed = Composed(
        config=configs.sealed(config),
        resolvable=not dangling,
        problems=problems,
        overridden=frozenset(override.key_or_group for override in parsed),
        document=document,
    )
    return replace(composed, problems=[*problems, *composed.located(dangling)])


def _kept(trial: DictConfig, parsed: Sequence[Override]) -> tuple[list[str], set[str], list[Problem]]:
    """Return the overrides that fit, for Hydra, the sections that they empty, and the problems of the rest.

    `trial` takes what fits. What becomes of an emptied section is there: Hydra cannot put anything into one again.
    """
    kept: list[tuple[str, str]] = []
    emptied: set[str] = set()
    problems: list[Problem] = []
    for override in parsed:
        if _chooses(override):
            continue
        if problem := tried(trial, override):
            problems.append(replace(problem, where=WHERE))
            continue
        key = override.key_or_group
        if key in OPEN_SECTIONS and (override.is_delete() or override.value() is None):
            emptied.add(key)
        kept.append((key.partition(".")[0], line_of(trial, override)))
    return [line for section, line in kept if section not in emptied], emptied, problems


def _composed_by_hydra(
    document: Document, content: dict[str, Any], overrides: Sequence[str], config_dir: Path | None, backend: str
) -> DictConfig:
    """Return what Hydra makes of the experiment's content and the overrides."""
    name = document.path.stem
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    with hydra_app.opened(config_dir, backend) as app:
        ExperimentSource.files[name] = document.path
        ExperimentSource.contents[name] = content
        config = app.compose_config(
            config_name=hydra_app.PRIMARY,
            overrides=[f'experiment="{quoted}"', *overrides],
            run_mode=RunMode.RUN,
            from_shell=False,
        )
    with open_dict(config):
        del config["hydra"]
    return config


def show(composed: Composed, config_dir: Path | None, kind: str, package: str | None, *, resolve: bool) -> None:
    """Print the config (`job`), Hydra's own (`hydra`), or both (`all`) as YAML; raise InputError for mistakes."""
    if composed.problems:
        raise InputError(composed.problems)
    shown: Any = copy.deepcopy(composed.config)
    if kind != "job":
        with hydra_app.opened(config_dir) as app:
            defaults = app.compose_config(config_name=None, overrides=[], run_mode=RunMode.RUN)
        shown = OmegaConf.merge({"hydra": defaults.hydra}, shown if kind == "all" else {})
    if package not in (None, "_global_"):
        found = OmegaConf.select(shown, package, default=_ABSENT)
        if found is _ABSENT:
            problem = assigning.unknown_key(str(package), nodes.known_keys(shown))
            raise InputError(replace(problem, where=f"{WHERE}: --package"))
        shown = found if OmegaConf.is_config(found) else OmegaConf.create({package: found})
    print(OmegaConf.to_yaml(shown, resolve=resolve), end="")


def _chooses(override: Override) -> bool:
    """Say whether the override chooses from a group, as in backend=ray."""
    key = override.key_or_group
    return key in ("experiment", "backend") and override.package is None and not override.is_delete()


def _word(value: Any) -> str:
    return "null" if value is None else str(value)


def _document(choice: str, config_dir: Path | None, file: Path | None) -> tuple[Document | None, list[Problem]]:
    """Return the experiment's file; None, and the problems, where it cannot be read."""
    try:
        return read(file or experiments.find(choice, config_dir)), []
    except InputError as error:
        return None, [problem if problem.where else replace(problem, where=WHERE) for problem in error.problems]


def _backend(given: str | None, document: Document | None, config_dir: Path | None) -> tuple[str, list[Problem]]:
    """Return the backend to go on with: the command line's, else the experiment's, else the default."""
    written = document.data.get("backend") if document else None
    if isinstance(written, Mapping):
        written = written.get("name")
    name = given if given is not None else str(written) if written else DEFAULT_BACKEND
    files = [path.stem for path in (config_dir / "backend").glob("*.yaml")] if config_dir else []
    if name in BACKENDS or name in files or name in (names := backends.names()):
        return name, []
    where = WHERE if given is not None or not document else document.where("backend")
    names = sorted({*names, *files})
    expected = f"one of {', '.join(names)}"
    problem = Problem(
        where=where, key="backend", got=name or "nothing", expected=expected, nearest=nearest(name, names)
    )
    return DEFAULT_BACKEND, [problem]


def _fitting(trial: DictConfig, document: Document | None, backend: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return what of the experiment fits the schema, and the problems of the rest; `trial` takes what fits."""
    content: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in _keys(trial, document.data, backend) if document else ():
        assert document is not None
        if key == "defaults":
            content[key] = value
            continue
        problem = assigning.assign(trial, key, value)
        if problem:
            problems.append(replace(problem, where=document.where(key)))
        else:
            _nest(content, key, assigning.held(trial, key, value))
    return content, problems


def _keys(trial: DictConfig, data: Mapping[str, Any], backend: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) down to where the schema holds values; nothing of a backend other than this one."""
    for name, value in data.items():
        key = f"{prefix}{name}"
        if key == "backend" and (not isinstance(value, Mapping) or value.get("name", backend) != backend):
            continue
        whole = key in OPEN_SECTIONS or isinstance(nodes.node_at(trial, key), AnyNode)
        if isinstance(value, Mapping) and value and not whole:
            yield from _keys(trial, value, backend, f"{key}.")
        else:
            yield key, value


def _nest(content: dict[str, Any], key: str, value: Any) -> None:
    """Put a value under its dotted key into nested content; in an open section whole."""
    *above, name = key.split(".") if key.partition(".")[0] not in OPEN_SECTIONS else [key]
    for part in above:
        content = content.setdefault(part, {})
    content[name] = value


def _translated(error: Exception, overrides: Iterable[Override], document: Document) -> Problem:
    """Return Hydra's or OmegaConf's own complaint in our form."""
    said = [line.strip() for source in (error, error.__cause__) if source for line in str(source).splitlines() if line]
    key = next((line.removeprefix("full_key: ") for line in said if line.startswith("full_key: ")), "")
    given = any(override.key_or_group == key for override in overrides)
    return Problem(
        where=WHERE if given else document.where(key),
        key=key,
        got="; ".join(said[:2]) or type(error).__name__,
        expected="a config that Hydra can compose",
    )
