"""Everything that can be checked before a search starts, told at once, before anything is made."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from litune import surroundings
from litune.algorithms import legs
from litune.arguments import WHERE
from litune.config import config as configs
from litune.config import documents
from litune.config.schema import NAME_PATTERN, OPEN_SECTIONS, Config
from litune.errors import InputError, Problem, nearest
from litune.parallelism import LAG, lag_of
from litune.space import enqueued, space_file
from litune.space.parameters import Float, Normal, Parameter
from litune.space.space import Space, name_of
from litune.targets.signatures import TARGET

SEARCHABLE = ("model", "data", "optimizer", "lr_scheduler", "criterion", "trainer", "callbacks", "function")
LARGEST_GRID = 100_000
_A_SPACE = "a search space file, or its name in search_spaces/, which is beside experiments/"
_GOLDEN = 0.618034  # a part of a range that is seldom a whole number


def load_space(config: DictConfig) -> Space:
    """Return the search space that the config names; raise InputError with all that is wrong with it."""
    if config.search.space is None:
        raise InputError(Problem(key="search.space", got="nothing", expected=_A_SPACE))
    path = Path(config.search.space)
    try:
        return space_file.load(path)
    except InputError as error:
        if path.is_file():
            raise
        beside = {file.stem: str(file) for file in Path("search_spaces").glob("*.*")}
        named = beside.get(nearest(path.name, beside) or "")
        told = [
            dataclasses.replace(problem, key="search.space", expected=_A_SPACE, nearest=problem.nearest or named)
            for problem in error.problems
        ]
        raise InputError(told) from None


def check(config: DictConfig, space: Space | None) -> list[Problem]:
    """Return what is wrong, as far as it shows without importing torch; `space` is None where none is searched."""
    plain = configs.stored(config)
    problems = [
        *_limits(Config, plain, OmegaConf.get_type(config.backend)),
        *_name(config.name),
        *_sections(plain),
        *surroundings.packages(plain),
    ]
    problems += [
        *surroundings.directory(config.search.runs),
        *surroundings.accelerator(config),
        *surroundings.storage(config),
    ]
    if space is not None:
        problems += [*_grid(config, space), *_params(config, space), *enqueued.check(config, space)]
        problems += legs.check(config, space)
        if config.search.warm_start:
            from litune.study import runs  # which imports Optuna

            problems += runs.check_earlier(config, space)
    return problems


def given(overridden: Collection[str], space: Space, source: str) -> Iterator[Problem]:
    """Yield the values on a command line that no trial would have, as the space, which `source` has, gives each one."""
    for key in [name_of(name) for name in space.parameters if name not in space.conditions]:
        if key in overridden:
            expected = f"no value: {source} has one for each trial"
            cure = f"leave it out, or take {key} out of the space"
            yield Problem(where=WHERE, key=key, got="a value", expected=expected, cure=cure)


def check_targets(config: DictConfig, space: Space | None) -> list[Problem]:
    """Import the targets and return what is wrong with them and their arguments, for the space's params too."""
    from litune.targets import functions, targets

    base = functions.check(config) if config.function else [*targets.check(config), *surroundings.strategy(config)]
    if space is None:
        return base
    problems = [problem for problem in base if problem.key not in space.names]  # what is searched is given by the space
    for params in probes(space):
        if any(_place_lacks(config, space, name) for name in params) or _misfits(config, params):
            continue  # check() tells these
        merged = configs.merge(config, params)
        found = functions.check(merged) if config.function else targets.check(merged)
        found = [_cured(problem, params) for problem in found if problem not in base]
        problems += _at_space(config, found)
    return list(dict.fromkeys(problems))


def warnings(config: DictConfig) -> list[str]:
    """Return what is not wrong, but may surprise."""
    found = []
    lag = lag_of(config, config.search.algorithm)
    if lag > (config.search.lag or LAG):
        found.append(
            f"search.lag is raised to {lag} or more, as so many trials run at once: the trials that are tried are "
            "other ones than with a smaller search.parallel"
        )
    if config.search.memory_gb and config.backend.name == "local":
        found.append("search.memory_gb holds no trial of backend=local, which trains in the driver's own process")
    kind = surroundings.network(Path(config.search.runs))
    if kind and not config.search.storage:
        found.append(
            f"search.runs: {config.search.runs} is on a network file system ({kind}), where SQLite's locks are not "
            "safe; give search.runs a local directory, or search.storage a database"
        )
    return found


def probes(space: Space) -> Iterator[dict[str, Any]]:
    """Yield params with each parameter at both ends or at every choice, and with what it needs to be active.

    A range of fractions is probed between its ends too, which may both be whole.
    """
    for key, parameter in space.parameters.items():
        for example in (*parameter.examples(), *_between(parameter)):
            chosen: dict[str, Any] = {key: example}
            child = key
            while child in space.conditions:
                child, option = space.conditions[child]
                chosen[child] = option
            for other, (chooser, option) in space.conditions.items():
                if other not in chosen and chosen.get(chooser) == option:
                    chosen[other] = space.parameters[other].examples()[0]
            yield {name_of(name): value for name, value in chosen.items()}


def _between(parameter: Parameter) -> Iterator[float]:
    """Yield a value of a range of fractions that is no whole number, where it has one."""
    if isinstance(parameter, (Float, Normal)):
        latent = parameter.latent
        within = parameter.decode(latent.low + _GOLDEN * (latent.high - latent.low))
        beside = [within, parameter.decode(parameter.encode(within + (parameter.q or 0.0)))]
        yield from [value for value in beside if not value.is_integer()][:1]


def _limits(kind: type, values: Mapping[str, Any], backend: type | None, prefix: str = "") -> Iterator[Problem]:
    """Yield the values outside their field's limits."""
    for field in dataclasses.fields(kind):
        value, key = values.get(field.name), f"{prefix}{field.name}"
        section = backend if key == "backend" else field.default_factory
        if dataclasses.is_dataclass(section) and isinstance(value, Mapping):
            yield from _limits(section, value, backend, f"{key}.")
        elif value is not None and not (isinstance(value, str) and "${" in value):
            yield from _limit(key, value, field.metadata)


def _limit(key: str, value: Any, limits: Mapping[str, Any]) -> Iterator[Problem]:
    choices = limits.get("choices")
    if choices and value not in choices:
        cure = f"choose it by backend={value}" if key == "backend.name" else ""
        expected = f"one of {', '.join(choices)}"
        yield Problem(key=key, got=repr(value), expected=expected, nearest=nearest(str(value), choices), cure=cure)
    if "form" in limits and not re.fullmatch(limits["form"], str(value)):
        yield Problem(key=key, got=repr(value), expected=limits["help"])
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        return
    if not math.isfinite(value):
        yield Problem(key=key, got=repr(value), expected="a finite number")
        return
    if limits.get("part") and isinstance(value, float) and not value <= 1:
        yield Problem(key=key, got=repr(value), expected="a whole number, or a fraction of at most 1.0")
    if "least" in limits and not value >= limits["least"]:
        yield Problem(key=key, got=repr(value), expected=f"at least {limits['least']}")
    if "most" in limits and not value <= limits["most"]:
        yield Problem(key=key, got=repr(value), expected=f"at most {limits['most']}")
    if "above" in limits and not value > limits["above"]:
        yield Problem(key=key, got=repr(value), expected=f"more than {limits['above']}")


def _name(name: str | None) -> Iterator[Problem]:
    if name is not None and (not re.fullmatch(NAME_PATTERN, name) or name in (".", "..")):
        expected = "1 to 80 letters, digits, and . _ -, and not . or .."
        yield Problem(key="name", got=repr(name), expected=expected)


def _sections(plain: Mapping[str, Any]) -> Iterator[Problem]:
    if not plain["model"] and not plain["function"]:
        expected = "a section with _target_, the dotted name of your LightningModule; or a section function"
        yield Problem(key="model", got="nothing", expected=expected)
    for group in ("callbacks", "logger"):
        yield from _named(group, plain[group] or {})
    if plain["lr_scheduler"] and not plain["optimizer"]:
        yield Problem(key="lr_scheduler", got="a section", expected="a section optimizer beside it")
    if plain["trainer"]["max_epochs"] == 0:
        expected = "at least 1, or -1 for no limit: a training of no epoch has no score"
        yield Problem(key="trainer.max_epochs", got="0", expected=expected)
    if plain["objective"]["metric"] == "":
        yield Problem(key="objective.metric", got="''", expected="the name of a metric that the model logs")


def _named(group: str, sections: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what a group of sections has that is none."""
    if TARGET in sections:
        cure = f"give it a name: {group}: {{NAME: {{{TARGET}: {sections[TARGET]}, ...}}}}"
        yield Problem(key=group, got=f"{TARGET}={sections[TARGET]}", expected="named sections", cure=cure)
        return
    for name, section in sections.items():
        if section is not None and not isinstance(section, Mapping):
            cure = f"{group}.{name}.{TARGET}={section}" if isinstance(section, str) else ""
            expected = f"a section with {TARGET}, or null"
            yield Problem(key=f"{group}.{name}", got=repr(section), expected=expected, cure=cure)


def _grid(config: DictConfig, space: Space) -> Iterator[Problem]:
    if config.search.algorithm != "grid":
        return
    for name in space.continuous():
        expected = "choice, randint, quniform or qloguniform, or another algorithm"
        [problem] = _at_space(
            config, [Problem(key=name, got="a continuous parameter in a grid search", expected=expected)]
        )
        yield problem
    size = space.grid_size()
    if size is not None and size > LARGEST_GRID:
        cure = "use a coarser q or fewer choices, or search.algorithm=random with search.trials as the limit"
        expected = f"at most {LARGEST_GRID:,}"
        yield Problem(key="search.algorithm", got=f"a grid of {size:,} points", expected=expected, cure=cure)


def _params(config: DictConfig, space: Space) -> Iterator[Problem]:
    """Yield the parameters that the config cannot take, tried at both ends or at all choices."""
    known = configs.known_keys(config)
    refused: set[str] = set()
    for name in space.names:
        section = name.partition(".")[0]
        if section not in SEARCHABLE:
            refused.add(name)
            searchable = [key for key in known if key.partition(".")[0] in SEARCHABLE and "." in key]
            expected = f"a key below {', '.join(SEARCHABLE)}"
            cure = "" if "." in name else f"for the model's argument: model.{name}"
            problem = Problem(
                key=name, got="a parameter", expected=expected, nearest=nearest(name, searchable), cure=cure
            )
            yield from _at_space(config, [problem])
        elif _place_lacks(config, space, name):
            refused.add(name)
            if section == "model":  # told by _sections()
                continue
            expected = f"a section {section} in the config, or {section}._name in the space"
            yield from _at_space(config, [Problem(key=name, got="a parameter", expected=expected)])
    misfits = [
        _cured(problem, params)
        for params in probes(space)
        for problem in _misfits(config, {name: value for name, value in params.items() if name not in refused})
    ]
    yield from _at_space(config, list(dict.fromkeys(misfits)))


def _cured(problem: Problem, params: Mapping[str, Any]) -> Problem:
    """Return the problem of a fraction from a range for a whole number with its cure."""
    value = params.get(problem.key)
    if isinstance(value, float) and not value.is_integer() and problem.expected.startswith("int"):
        return dataclasses.replace(problem, cure="take randint, or quniform with a whole q")
    return problem


def _place_lacks(config: DictConfig, space: Space, name: str) -> bool:
    """Say whether the section that the parameter belongs to is neither in the config nor chosen by the space."""
    section = name.partition(".")[0]
    return section in OPEN_SECTIONS and not config[section] and f"{section}._name" not in space.names


def _misfits(config: DictConfig, params: Mapping[str, Any]) -> Sequence[Problem]:
    try:
        configs.merge(config, params)
    except InputError as error:
        return error.problems
    return ()


def _at_space(config: DictConfig, problems: list[Problem]) -> list[Problem]:
    """Return the problems with the place in the search space's file of the parameter that they are about."""
    path = Path(config.search.space or "")
    if not problems or not path.is_file():
        return problems
    document = documents.read(path)
    return [
        dataclasses.replace(problem, where=document.where(problem.key)) if _holds(document, problem.key) else problem
        for problem in problems
    ]


def _holds(document: documents.Document, key: str) -> bool:
    return any(key == line or key.startswith(f"{line}.") for line in document.lines)
