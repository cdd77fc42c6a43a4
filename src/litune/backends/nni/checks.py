"""What NNI accepts in silence of a search, and then does wrong, found before its manager starts."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig

from litune.backends.nni import algorithms, launch
from litune.backends.nni.rest import Manager
from litune.errors import Problem, nearest
from litune.space.space import Space


def check(config: DictConfig, space: Space) -> list[Problem]:
    """Return what is wrong with a search through NNI."""
    problems: list[Problem] = []
    mode = config.objective.mode
    for kind in algorithms.KNOWN:
        key, given = f"backend.{kind}", config.backend[kind]
        if found := list(_malformed(kind, given)):
            problems += found
        elif given is not None:
            name, arguments = algorithms.named(given)
            direction = arguments.get("optimize_mode", algorithms.DIRECTIONS[mode])
            problems += [*algorithms.unusable(kind, key, name), *algorithms.endless_grid(key, name, space)]
            problems += algorithms.wrong_direction(key, name, direction, mode)
            problems += unknown_arguments(kind, key, name, arguments)
    if config.backend.port and not config.backend.manager and launch.in_use(config.backend.port):
        got = f"{config.backend.port}, which {_holder(config.backend.port)} listens on"
        problems.append(Problem(key="backend.port", got=got, expected="a free port", cure="null takes the first one"))
    if config.backend.manager:
        problems += _manager(config.backend.manager, mode)
    return problems


def _manager(url: str, mode: str) -> list[Problem]:
    """Return what is wrong with the manager at the URL, as far as it answers."""
    try:
        experiment = Manager(url).experiment()
    except (OSError, ValueError) as error:  # ValueError: a port that is no number
        expected = f"the URL of a running manager of NNI's, such as http://127.0.0.1:{launch.FIRST_PORT}"
        return [Problem(key="backend.manager", got=repr(url), expected=expected, cure=str(error))]
    return directions(experiment, mode)


def directions(experiment: Mapping[str, Any], mode: str) -> list[Problem]:
    """Return where an experiment's tuner or assessor would go the other way than the objective."""
    problems: list[Problem] = []
    for kind in algorithms.KNOWN:
        given = experiment.get(kind)
        if not isinstance(given, Mapping):
            continue
        name = str(given.get("name"))
        arguments = given.get("classArgs")
        arguments = arguments if isinstance(arguments, Mapping) else {}
        direction = arguments.get("optimize_mode", algorithms.DIRECTED.get(name.lower()))
        problems += algorithms.wrong_direction(kind, name, direction, mode)
    return problems


def _malformed(kind: str, given: Any) -> Iterator[Problem]:
    """Yield what is wrong with the form of an algorithm given as a mapping."""
    if not isinstance(given, Mapping):
        return
    key = f"backend.{kind}"
    if not given.get("name"):
        yield Problem(key=f"{key}.name", got="nothing", expected=f"one of {', '.join(algorithms.KNOWN[kind])}")
    for name in sorted(map(str, set(given) - set(algorithms.SECTION))):
        expected, near = f"one of {', '.join(algorithms.SECTION)}", nearest(name, algorithms.SECTION)
        yield Problem(key=f"{key}.{name}", got="an unknown key", expected=expected, nearest=near)
    arguments = given.get("classArgs")
    if not isinstance(arguments, Mapping | None):
        yield Problem(key=f"{key}.classArgs", got=repr(arguments), expected="arguments by their names: {seed: 1, ...}")


def unknown_arguments(kind: str, key: str, name: str, arguments: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the arguments that a known algorithm does not take."""
    if not arguments or name.lower() not in (known.lower() for known in algorithms.KNOWN[kind]):
        return
    from nni.tools.package_utils.tuner_factory import get_builtin_module_class_name

    module, cls = get_builtin_module_class_name(f"{kind}s", name)
    accepted = [*inspect.signature(getattr(importlib.import_module(module), cls)).parameters]
    for argument in arguments:
        if argument not in accepted:
            expected = f"one of {', '.join(accepted)}" if accepted else "none"
            near = nearest(argument, accepted)
            yield Problem(key=f"{key}.classArgs.{argument}", got="an unknown argument", expected=expected, nearest=near)


def _holder(port: int) -> str:
    import psutil

    for connection in psutil.net_connections(kind="inet"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another process"
