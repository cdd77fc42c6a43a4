"""The search space checked against the config: whether the config can take every value that the space gives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune.config import assigning, documents, nodes
from litune.config import config as configs
from litune.config.schema import OPEN_SECTIONS
from litune.errors import InputError, Problem, nearest
from litune.space.parameters import Float, Normal, Parameter
from litune.space.space import Space, name_of

_SEARCHABLE = ("model", "data", "optimizer", "lr_scheduler", "criterion", "trainer", "callbacks", "function")
_EXAMPLES = {  # sections that are of a class, and one that each may be of
    "model": "my_module.MyModel",
    "data": "my_module.MyData",
    "optimizer": "torch.optim.SGD",
    "lr_scheduler": "torch.optim.lr_scheduler.StepLR",
    "criterion": "torch.nn.CrossEntropyLoss",
}
_LARGEST_GRID = 100_000
_GOLDEN = 0.618034  # a part of a range that is seldom a whole number


def check(config: DictConfig, space: Space) -> Iterator[Problem]:
    """Yield the parameters that the config cannot take, and what a grid search cannot."""
    yield from _grid(config, space)
    yield from _params(config, space)


def merged(config: DictConfig, space: Space) -> Iterator[tuple[dict[str, Any], DictConfig]]:
    """Yield params that try out each parameter, and the config with them; those that check() tells are left out."""
    for params in _probes(space):
        if not any(_place_lacks(config, space, name) for name in params) and not _misfits(config, params):
            yield params, configs.merge(config, params)


def filled(config: DictConfig, space: Space) -> DictConfig:
    """Return the config with a value of the space for each key that it lacks: one that a trial may have."""
    chosen: dict[str, Any] = {}
    for key, parameter in space.parameters.items():
        chooser, option = space.conditions.get(key, (None, None))
        node = nodes.node_at(config, name_of(key).removesuffix(configs.CHOICE_SUFFIX))
        if (chooser is None or chosen.get(chooser) == option) and (node is None or node._is_missing()):
            chosen[key] = parameter.examples()[0]
    return configs.merge(config, {name_of(key): value for key, value in chosen.items()})


def placed(config: DictConfig, problems: list[Problem], params: Mapping[str, Any]) -> list[Problem]:
    """Return the problems that the params cause, with the place in the search space's file and the cure."""
    return _at_space(config, [_cured(problem, params) for problem in problems])


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
    if size is not None and size > _LARGEST_GRID:
        cure = "use a coarser q or fewer choices, or search.algorithm=random with search.trials as the limit"
        expected = f"at most {_LARGEST_GRID:,}"
        yield Problem(key="search.algorithm", got=f"a grid of {size:,} points", expected=expected, cure=cure)


def _params(config: DictConfig, space: Space) -> Iterator[Problem]:
    """Yield the parameters that the config cannot take, tried at both ends or at all choices."""
    known = nodes.known_keys(config)
    refused: set[str] = set()
    for name in space.names:
        section = name.partition(".")[0]
        if section not in _SEARCHABLE:
            refused.add(name)
            yield from _at_space(config, [_misplaced(config, name, known)])
        elif _place_lacks(config, space, name):
            refused.add(name)
            if section == "model" and not config.function:  # that there is neither is told for itself
                continue
            expected = f"a section {section} in the config, or {section}._name in the space"
            yield from _at_space(config, [Problem(key=name, got="a parameter", expected=expected)])
    misfits = [
        _cured(problem, params)
        for params in _probes(space)
        for problem in _misfits(config, {name: value for name, value in params.items() if name not in refused})
    ]
    yield from _at_space(config, list(dict.fromkeys(misfits)))


def _misplaced(config: DictConfig, name: str, known: Collection[str]) -> Problem:
    """Return the problem of a parameter outside the sections that are searched, with the keys that it may stand for."""
    from litune.targets import targets

    values = [
        key
        for key in known
        if key.partition(".")[0] in _SEARCHABLE and not isinstance(nodes.node_at(config, key), DictConfig)
    ]
    near = " or ".join(targets.taking(config, name.rpartition(".")[2])) or nearest(name, values)
    cure = "" if near or "." in name else assigning.in_sections(name, known)
    expected = f"a key below {', '.join(_SEARCHABLE)}"
    return Problem(key=name, got="a parameter", expected=expected, nearest=near, cure=cure)


def _probes(space: Space) -> Iterator[dict[str, Any]]:
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


def _cured(problem: Problem, params: Mapping[str, Any]) -> Problem:
    """Return the problem with its cure: of a fraction from a range for a whole number, of a section for a word."""
    option = params.get(f"{problem.key}{configs.CHOICE_SUFFIX}")
    if option is not None and "." not in option and problem.key in _EXAMPLES:
        expected = f"the dotted name of a class, such as {_EXAMPLES[problem.key]}"
        return Problem(key=f"{problem.key}{configs.CHOICE_SUFFIX}", got=option, expected=expected)
    if option is not None and "." not in option:  # a dotted one is a class, of which an object is handed over
        got = "a section {_name: ..., its params}, as the space has a nested choice"
        cure = "take a choice of words, and give what belongs to one of them a key of its own"
        return dataclasses.replace(problem, got=got, cure=cure)
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
