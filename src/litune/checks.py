"""Everything that can be checked before a search starts, told at once, before anything is made."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from litune import environment
from litune.algorithms import legs
from litune.arguments import WHERE
from litune.config import config as configs
from litune.config import experiments, interpolations, limits
from litune.config.documents import display_path
from litune.config.schema import GROUPS, NAME_PATTERN, Config
from litune.errors import InputError, Problem, nearest
from litune.space import enqueued, fit, space_file
from litune.space.misfits import ABSENT
from litune.space.space import Space, name_of
from litune.targets.signatures import TARGET

_CHOICES: Mapping[str, Sequence[bool | str]] = {  # of the trainer's options that take a word or a yes
    "compile": (False, True, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    "deterministic": (False, True, "warn"),
}
_SHARED = {"ModelCheckpoint": "dirpath", "CSVLogger": "save_dir", "TensorBoardLogger": "save_dir"}  # class -> argument
_TURNED_OFF = {"Checkpoint": "enable_checkpointing", "ProgressBar": "enable_progress_bar"}  # kind of callback -> option
_A_SPACE = "a search space file, or its name in search_spaces/, which is beside experiments/"


def load_space(config: DictConfig, experiment: Path = Path()) -> Space:
    """Return the search space that the config, of an experiment's file, names; InputError tells all that is wrong."""
    if config.search.space is None:
        cure = _proposal(config, experiments.own_space(experiment))
        raise InputError(Problem(key="search.space", got="nothing", expected=_A_SPACE, cure=cure))
    path = Path(config.search.space)
    try:
        return space_file.load(path)
    except InputError as error:
        if path.is_file():
            raise
        known = experiments.spaces(experiment)
        named = known.get(nearest(path.name, known) or "")
        near = str(named) if named else None
        told = [
            dataclasses.replace(problem, key="search.space", expected=_A_SPACE, nearest=problem.nearest or near)
            for problem in error.problems
        ]
        raise InputError(told) from None


def _proposal(config: DictConfig, place: Path) -> str:
    """Return how the search space that is not in its place is begun."""
    module, _, name = str((config.model or {}).get(TARGET, "")).rpartition(".")
    proposing = f"; litune space {module}:{name} > {display_path(place)} proposes one" if module else ""
    return f"there is no {display_path(place)}{proposing}"


def check(config: DictConfig, space: Space | None) -> list[Problem]:
    """Return what is wrong, as far as it shows without importing torch; `space` is None where none is searched."""
    plain = configs.plain(config)
    problems = [
        *limits.outside(Config, plain, OmegaConf.get_type(config.backend)),
        *_name(config.name),
        *_experiment(config.experiment),
        *_sections(plain),
        *_trainer(plain["trainer"], space.names if space else ()),
        *(_machines(plain["trainer"]) if space else ()),
        *environment.packages(plain),
    ]
    problems = [interpolations.as_written(config, problem) for problem in problems]
    problems += [
        *_budget(config),
        *environment.directory(config.search.runs),
        *environment.accelerator(config),
        *environment.storage(config),
    ]
    if space is not None:
        problems += [*fit.check(config, space), *enqueued.check(config, space)]
        problems += legs.check(config, space)
        if config.search.warm_start:
            from litune.study import earlier_runs  # which imports Optuna

            problems += earlier_runs.check(config, space)
    return problems


def given_but_searched(overridden: Collection[str], space: Space, source: str) -> Iterator[Problem]:
    """Yield the values on a command line that no trial would have, as the space, which `source` has, gives each one."""
    for key in [name_of(name) for name in space.parameters if name not in space.conditions]:
        if key in overridden:
            expected = f"no value: {source} has one for each trial"
            cure = f"leave it out, or take {key} out of the space"
            yield Problem(where=WHERE, key=key, got="a value", expected=expected, cure=cure)


def check_targets(config: DictConfig, space: Space | None) -> list[Problem]:
    """Import the targets and return what is wrong with them and their arguments, for the space's params too."""
    from litune.targets import functions, targets

    base = functions.check(config) if config.function else targets.check(config)
    if not config.function:
        base += [*environment.strategy(config), *_turned_off(config)]
    if space is None:
        return base
    base += _shared(config)
    problems = [problem for problem in base if not _is_given(problem, space)]
    for params, merged in fit.merged(config, space):
        found = functions.check(merged) if config.function else targets.check(merged)
        problems += fit.placed(config, [problem for problem in found if problem not in base], params)
    return list(dict.fromkeys(problems))


def _is_given(problem: Problem, space: Space) -> bool:
    """Say whether the space gives the value that the problem is about, or a part of one that is absent."""
    parts = [name for name in space.names if name.startswith(f"{problem.key}.")] if problem.got == ABSENT else []
    return bool(parts) or problem.key in space.names


def warnings(config: DictConfig) -> list[str]:
    """Return what is not wrong, but may surprise."""
    found = []
    if config.search.memory_gb and config.backend.name == "local":
        found.append("search.memory_gb holds no trial of backend=local, which trains in the driver's own process")
    kind = environment.network(Path(config.search.runs))
    if kind and not config.search.storage:
        found.append(
            f"search.runs: {config.search.runs} is on a network file system ({kind}), where SQLite's locks are not "
            "safe; give search.runs a local directory, or search.storage a database"
        )
    return found


def _name(name: str | None) -> Iterator[Problem]:
    if name is not None and (not re.fullmatch(NAME_PATTERN, name) or name in (".", "..")):
        expected = "1 to 80 letters, digits, and . _ -, and not . or .."
        yield Problem(key="name", got=repr(name), expected=expected)


def _experiment(experiment: str) -> Iterator[Problem]:
    if "/" in experiment:
        cure = "give the directory of its runs by search.runs"
        yield Problem(key="experiment", got=repr(experiment), expected="a name: no /", cure=cure)


def _budget(config: DictConfig) -> Iterator[Problem]:
    """Yield that a budget of epochs is none for trainings that are not so many epochs long."""
    epochs, longest = config.search.budget.epochs, config.trainer.max_epochs
    if epochs is not None and (config.function or longest in (None, -1)):
        what = "a function, which has no epochs" if config.function else f"trainer.max_epochs={longest}"
        cure = "search.trials or search.budget.seconds limits such a search"
        yield Problem(key="search.budget.epochs", got=str(epochs), expected=f"null beside {what}", cure=cure)


def _sections(plain: Mapping[str, Any]) -> Iterator[Problem]:
    if not plain["model"] and not plain["function"]:
        expected = "a section with _target_, the dotted name of your LightningModule; or a section function"
        yield Problem(key="model", got="nothing", expected=expected)
    for group in GROUPS:
        yield from _named(group, plain[group] or {})
    if plain["lr_scheduler"] and not plain["optimizer"]:
        yield Problem(key="lr_scheduler", got="a section", expected="a section optimizer beside it")
    if plain["trainer"]["max_epochs"] == 0:
        expected = "at least 1, or -1 for no limit: a training of no epoch has no score"
        yield Problem(key="trainer.max_epochs", got="0", expected=expected)
    if plain["objective"]["metric"] == "":
        yield Problem(key="objective.metric", got="''", expected="the name of a metric that the model logs")


def _trainer(trainer: Mapping[str, Any], searched: Collection[str]) -> Iterator[Problem]:
    """Yield the options that Lightning or torch would refuse in each trial, or that leave it without a score."""
    for name, choices in _CHOICES.items():
        value = trainer[name]
        if isinstance(value, str) and value not in choices and "${" not in value:
            words = [str(choice).lower() if isinstance(choice, bool) else choice for choice in choices]
            near = nearest(str(value), words)
            yield Problem(key=f"trainer.{name}", got=repr(value), expected=f"one of {', '.join(words)}", nearest=near)
    epochs, every = "trainer.max_epochs", "trainer.check_val_every_n_epoch"
    last, between = trainer["max_epochs"], trainer["check_val_every_n_epoch"]
    known = isinstance(last, int) and isinstance(between, int) and not trainer["fast_dev_run"]
    if known and 0 < last < between and not {epochs, every} & set(searched):
        expected = f"at most {epochs}={last}: nothing would ever be validated"
        yield Problem(key=every, got=str(between), expected=expected)


def _machines(trainer: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield that a search's trials would wait for ever for the processes of other machines."""
    nodes = trainer["num_nodes"]
    if isinstance(nodes, int) and nodes > 1:
        expected = "1: each trial of a search trains on one machine"
        cure = "trainer.devices gives it several devices of that one"
        yield Problem(key="trainer.num_nodes", got=str(nodes), expected=expected, cure=cure)


def _turned_off(config: DictConfig) -> Iterator[Problem]:
    """Yield a callback that Lightning refuses as an option of the Trainer's turns off what it does."""
    options = {kind: option for kind, option in _TURNED_OFF.items() if config.trainer[option] is False}
    for name, section in config.callbacks.items() if options else ():
        for option in {options[base] for base in _bases(section) if base in options}:
            cure = f"or leave callbacks.{name} out"
            expected = f"true, as callbacks.{name} is {section[TARGET]}"
            yield Problem(key=f"trainer.{option}", got="false", expected=expected, cure=cure)


def _shared(config: DictConfig) -> Iterator[Problem]:
    """Yield the directories into which all trials would write files of the same names."""
    for group in GROUPS:
        for name, section in config[group].items():
            for argument in {_SHARED[base] for base in _bases(section) if base in _SHARED}:
                if section.get(argument) is not None:
                    expected = "nothing: the trials would write over one another's files there"
                    cure = "leave it out, and each trial has a directory of its own for them"
                    yield Problem(key=f"{group}.{name}.{argument}", got="a directory", expected=expected, cure=cure)


def _bases(section: Mapping[str, Any] | None) -> list[str]:
    """Return the names of the classes that a section's target descends from; none where it cannot be had."""
    from litune.targets.locate import locate

    try:
        return [base.__name__ for base in getattr(locate(str(section[TARGET])), "__mro__", ())] if section else []
    except (InputError, KeyError, TypeError):  # told already
        return []


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
