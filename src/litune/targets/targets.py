"""Everything about the sections that name a `_target_`: checking their arguments, casting them, calling the target."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from litune.config import assigning, interpolations
from litune.config import config as configs
from litune.config.schema import GROUPS
from litune.errors import InputError, Problem, nearest
from litune.targets import lightning_packages
from litune.targets.locate import locate, trust
from litune.targets.signatures import TARGET, Mismatch, conform, signature

SCHEDULER_OPTIONS = ("interval", "frequency", "monitor", "strict", "name")
_KINDS = {  # section -> what its target must be, by the names of the classes that it descends from
    "model": "LightningModule", "data": "LightningDataModule", "optimizer": "Optimizer",
    "lr_scheduler": "LRScheduler", "callbacks": "Callback", "logger": "Logger",
}  # fmt: skip
_CURES = {"data": "write one whose train_dataloader() and val_dataloader() make the loaders"}
_HOMES = {  # section -> where what it names mostly is, for a name without a module
    "optimizer": "torch.optim", "lr_scheduler": "torch.optim.lr_scheduler", "criterion": "torch.nn",
    "callbacks": "pytorch_lightning.callbacks", "logger": "pytorch_lightning.loggers",
}  # fmt: skip
_SUPPLIED = {"optimizer": {"params"}, "lr_scheduler": {"optimizer", *SCHEDULER_OPTIONS}, "logger": {"save_dir"}}
_CLI = "class_path"  # what LightningCLI has in place of a _target_
_FROM_CLI = f"{TARGET} in place of {_CLI}, and what is under init_args beside it"
_GIVEN_LATER = {"params", "optimizer"}  # what a model that makes its own optimizer or scheduler gives it
_CALLING = ("_partial_", "_args_")  # Hydra's words for how to call


def check(config: DictConfig) -> list[Problem]:
    """Return what is wrong with the sections that name a target: the name, its import, its arguments."""
    trust(config.allow)
    problems: list[Problem] = []
    for key, section, extra in _sections(config):
        problems += _wrong_kind(section, key) or _bind(section, key, extra)[1]
    problems += lightning_packages.misfits((key, section) for key, section, _ in _sections(config))
    return list(dict.fromkeys(interpolations.as_written(config, problem) for problem in problems))


def typed(config: DictConfig) -> DictConfig:
    """Return the read-only config with every argument cast to its target's signature; raise InputError for misfits.

    Lightning's own callbacks and loggers are then of the package that the model is made of.
    """
    trust(config.allow)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    sections = list(_sections(config))
    for key, section, extra in sections:
        arguments, found = _bind(section, key, extra)
        problems += found
        values.update({f"{key}.{name}": value for name, value in arguments.items() if _changed(value, section[name])})
    if problems:
        raise InputError(dict.fromkeys(interpolations.as_written(config, problem) for problem in problems))
    package = lightning_packages.of_model(config.model[TARGET])
    for key, section, _ in sections:
        if (meant := lightning_packages.in_package(section[TARGET], package)) != section[TARGET]:
            values[f"{key}.{TARGET}"] = meant
    return configs.replaced(config, values) if values else config


def instantiate(section: Mapping[str, Any], **extra: Any) -> Any:
    """Build what the section names, its nested sections first; `extra` are arguments that no YAML can hold."""
    values = configs.plain(section)
    arguments, problems = _bind(values, "", set(extra))
    if problems:
        raise InputError(problems)
    positional = [_built(value) for value in values.get("_args_", ())]
    named = {name: _built(value) for name, value in arguments.items()}
    target = locate(values[TARGET])
    if values.get("_partial_"):
        return functools.partial(target, *positional, **named, **extra)
    return target(*positional, **named, **extra)


def arguments(path: str) -> frozenset[str]:
    """Return the names of the arguments that the target declares."""
    return frozenset(signature(locate(path)).arguments)


def taking(config: DictConfig, name: str) -> list[str]:
    """Return the keys, in the sections that name a class, of the arguments of this name."""
    trust(config.allow)
    keys = []
    for key, section, extra in _sections(config):
        with contextlib.suppress(InputError):  # told for itself
            if name in arguments(str(section.get(TARGET))) - extra:
                keys.append(f"{key}.{name}")
    return keys


def misplaced(kind: type, key: str, got: str) -> Problem | None:
    """Return what is wrong with a class, or an instance of it, in this place; None where it is of the place's kind."""
    place = key.partition(".")[0]
    expected = _KINDS.get(place)
    if expected is None or expected in {base.__name__ for base in kind.__mro__}:
        return None
    return Problem(key=key, got=got, expected=f"a subclass of {expected}", cure=_CURES.get(place, ""))


def _sections(config: DictConfig) -> Iterator[tuple[str, dict[str, Any], set[str]]]:
    """Yield (dotted key, plain section, names of arguments that litune itself supplies)."""
    plain = configs.plain(config)
    for name in ("model", "data", "optimizer", "lr_scheduler", "criterion"):
        if plain[name]:
            extra = {"criterion"} if name == "model" and plain["criterion"] else _SUPPLIED.get(name, set())
            yield name, plain[name], extra
    for group in GROUPS:
        for name, section in (plain[group] or {}).items():
            if section and isinstance(section, dict):  # checks.py tells what is none
                yield f"{group}.{name}", section, _SUPPLIED.get(group, set())


def _bind(section: Any, key: str, extra: set[str]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the section's arguments cast to the signature, and what is wrong with them; `extra` need not be there."""
    target, problems = _target(section, key)
    if target is None:
        return {}, problems
    accepted = signature(target)
    given = {name: value for name, value in section.items() if name != TARGET and name not in _CALLING}
    bound: dict[str, Any] = {}
    for name, value in given.items():
        argument = accepted.arguments.get(name)
        if argument is None and not accepted.open and name not in extra:
            problems.append(_unknown(key, name, section[TARGET], accepted.arguments.keys() - extra))
            continue
        try:
            bound[name] = conform(value, argument) if argument else value
        except Mismatch as mismatch:
            problems.append(_misfit(value, _key(key, name), str(mismatch)))
        problems += _nested(value, _key(key, name))
    if not section.get("_partial_") and not section.get("_args_"):
        missing = [a.name for a in accepted.arguments.values() if a.required and a.name not in {*given, *extra}]
        problems += [_missing(key, name, section[TARGET]) for name in missing]
    unsupplied = extra - accepted.arguments.keys() if key == "model" and not accepted.open else set()
    problems += [_unsupplied(name, section[TARGET]) for name in sorted(unsupplied)]
    return bound, problems


def _target(section: Any, key: str) -> tuple[Callable[..., Any] | None, list[Problem]]:
    """Return what the section names; None, and what is wrong, where it names nothing that may be had."""
    expected = f"a section with {TARGET}, the dotted name of a class"
    if not isinstance(section, Mapping):
        return None, [Problem(key=key, got=repr(section), expected=expected)]
    if not section.get(TARGET):
        alike = nearest(TARGET, section)
        cure = f"{alike} should be {TARGET}" if alike and alike != TARGET else ""
        if _CLI in section:
            cure = _FROM_CLI
        return None, [Problem(key=key, got=f"a section without {TARGET}", expected=expected, cure=cure)]
    try:
        return locate(str(section[TARGET])), []
    except InputError as error:
        alike = _at_home(key, str(section[TARGET]))
        found = [replace(problem, nearest=problem.nearest or alike) for problem in error.problems]
        return None, [replace(problem, key=_key(key, TARGET)) for problem in found]


def _at_home(key: str, name: str) -> str | None:
    """Return the dotted name that a class's bare name may stand for: torch.optim.Adam for adam in `optimizer`."""
    home = _HOMES.get(key.partition(".")[0])
    if home is None or "." in name:
        return None
    alike = nearest(name, [public for public in vars(importlib.import_module(home)) if public[0].isupper()])
    return alike and f"{home}.{alike}"


def _wrong_kind(section: Mapping[str, Any], key: str) -> list[Problem]:
    """Return what is wrong with a section whose target is a class of another kind than its place asks for."""
    target, _ = _target(section, key)
    problem = misplaced(target, key, section[TARGET]) if isinstance(target, type) else None
    return [replace(problem, key=f"{key}.{TARGET}")] if problem else []


def _nested(value: Any, key: str) -> Iterator[Problem]:
    """Yield what is wrong with the targets anywhere inside a value."""
    if isinstance(value, Mapping):
        if TARGET in value:
            yield from _bind(value, key, set())[1]
            return
        for name, item in value.items():
            yield from _nested(item, f"{key}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nested(item, f"{key}.{index}")


def _built(value: Any) -> Any:
    if isinstance(value, Mapping):
        return instantiate(value) if TARGET in value else {name: _built(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_built(item) for item in value)
    return value


def _key(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


def _changed(value: Any, given: Any) -> bool:
    return isinstance(value, (bool, int, float, str)) and (type(value) is not type(given) or value != given)


def _unknown(key: str, name: str, target: str, known: Iterable[str]) -> Problem:
    names = sorted(known)
    expected = f"an argument of {target}: {', '.join(names)}" if names else f"nothing: {target} takes no arguments"
    alike = nearest(name, names)
    return Problem(
        key=_key(key, name), got="an unknown argument", expected=expected, nearest=alike and _key(key, alike)
    )


def _misfit(value: Any, key: str, expected: str) -> Problem:
    if isinstance(value, Mapping) and _CLI in value:
        return Problem(key=key, got=f"a section without {TARGET}", expected=expected, cure=_FROM_CLI)
    return Problem(key=key, got=assigning.format_value(value), expected=expected)


def _missing(key: str, name: str, target: str) -> Problem:
    cure = f"_partial_: true beside {TARGET}, where the model gives it" if name in _GIVEN_LATER else ""
    return Problem(key=_key(key, name), got="nothing", expected=f"a value, {target} needs it", cure=cure)


def _unsupplied(name: str, target: str) -> Problem:
    expected = f"no such section: {target} has no argument {name} to take it"
    return Problem(key=name, got="a section", expected=expected, cure=f"leave {name} empty")
