"""What NNI accepts in silence and then does wrong, found before its manager starts."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune import checks
from litune.arguments import WHERE
from litune.backends.nni import launch
from litune.backends.nni.drivers import RUNS
from litune.backends.nni.rest import Manager
from litune.config import compose, documents
from litune.config import config as configs
from litune.config.documents import Document
from litune.errors import InputError, Problem, nearest
from litune.space import space_file
from litune.space.space import Space

TUNERS = ("GridSearch", "Random", "TPE", "Evolution")
ASSESSORS = ("Medianstop", "Curvefitting")
# What of NNI 3.0's other tuners is missing on a present Python, by the module that they import.
_NEEDS = {
    "Anneal": ("hyperopt", "hyperopt"), "TPE_legacy": ("hyperopt", "hyperopt"), "SMAC": ("smac", "'nni[SMAC]'"),
    "BOHB": ("ConfigSpace", "'nni[BOHB]'"), "DNGO": ("pybnn", "'nni[DNGO]'"), "PPO": ("gym", "'nni[PPO]'"),
}  # fmt: skip
_BROKEN = {
    "GP": "with numpy 2 it fails at its first suggestion", "GPTuner": "with numpy 2 it fails at its first suggestion",
    "Metis": "with numpy 2 it fails at its first suggestion", "NetworkMorphism": "with numpy 2 it fails at once",
    "Batch": "it takes one combined parameter only", "PBT": "it wants trials to hand on checkpoints by its own rules",
    "Hyperband": "it puts a parameter of its own beside the search space's",
    "RegularizedEvolutionTuner": "it is for architecture search only",
}  # fmt: skip
_PLATFORMS = ("local", "remote", "openpai", "aml", "dlc", "kubeflow", "frameworkcontroller", "hybrid", "adl")
_TRIAL = "litune.backends.nni.trial"
_NEW_KEYS = ("searchSpaceFile", "searchSpace", "trialCommand", "trialConcurrency", "tuner", "trainingService")
_KEYS = (
    *_NEW_KEYS, "experimentName", "experimentType", "trialCodeDirectory", "trialGpuNumber", "maxExperimentDuration",
    "maxTrialNumber", "maxTrialDuration", "nniManagerIp", "useAnnotation", "debug", "logLevel",
    "experimentWorkingDirectory", "tunerGpuIndices", "assessor", "advisor", "sharedStorage", "authorName", "logDir",
    "maxExecDuration", "maxTrialNum", "trainingServicePlatform", "searchSpacePath", "trial", "localConfig",
    "multiThread", "versionCheck", "description", "logCollection",
)  # fmt: skip


def check(config: DictConfig, space: Space) -> list[Problem]:
    """Return what is wrong with a search through NNI."""
    problems = []
    mode = config.objective.mode
    for key, known in (("tuner", TUNERS), ("assessor", ASSESSORS)):
        given = config.backend[key]
        if found := list(_shape(f"backend.{key}", given, known)):
            problems += found
        elif given is not None:
            name, arguments = launch.named(given)
            direction = arguments.get("optimize_mode", launch.DIRECTIONS[mode])
            problems += [*_algorithm(f"backend.{key}", name, known), *_grid(f"backend.{key}", name, space)]
            problems += _direction(f"backend.{key}", name, direction, mode)
            problems += _arguments(f"backend.{key}", name, arguments, known)
    if config.backend.port and not config.backend.manager and launch.in_use(config.backend.port):
        got = f"{config.backend.port}, which {_holder(config.backend.port)} listens on"
        problems.append(Problem(key="backend.port", got=got, expected="a free port", cure="null takes the first one"))
    if config.backend.manager:
        problems += _manager(config.backend.manager, mode)
    return problems


def _manager(url: str, mode: str) -> Sequence[Problem]:
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
    for key in ("tuner", "assessor"):
        given = experiment.get(key) or {}
        name = str(given.get("name"))
        direction = (given.get("classArgs") or {}).get("optimize_mode", launch.DIRECTED.get(name.lower()))
        problems += _direction(key, name, direction, mode)
    return problems


def check_file(path: Path) -> list[Problem]:
    """Return what is wrong with a config file of nnictl, in its present form or that of NNI 1."""
    document = documents.read(path)
    data = document.data
    problems = [
        Problem(
            where=document.where(key),
            key=key,
            got="an unknown key",
            expected="a key of NNI",
            nearest=nearest(key, _KEYS),
        )
        for key in data
        if key not in _KEYS
    ]
    space, found = _space(document)
    problems += [*_command(document, space), *_values(document), *found]
    for section, known in (("tuner", TUNERS), ("assessor", ASSESSORS)):
        given = data.get(section) or {}
        if not isinstance(given, Mapping):
            expected = f"a section, as {section}: {{name: {known[0]}}}"
            problems.append(Problem(key=section, got=repr(given), expected=expected))
            continue
        key, name = _named(section, given)
        if name is None and section == "tuner" and not _is_custom(given) and "advisor" not in data:
            problems.append(Problem(key="tuner.name", got="nothing", expected=f"one of {', '.join(TUNERS)}"))
        elif name is not None:
            found = [*_algorithm(key, str(name), known), *(_grid(key, str(name), space) if space else ())]
            problems += found
    placed = (problem if problem.where else _at(problem, document) for problem in problems)
    return list(placed)


def _at(problem: Problem, document: Document) -> Problem:
    return Problem(**{**vars(problem), "where": document.where(problem.key)})


def _named(section: str, given: Mapping[str, Any]) -> tuple[str, Any]:
    old = f"builtin{section.capitalize()}Name"
    return (f"{section}.{old}", given[old]) if old in given else (f"{section}.name", given.get("name"))


def _is_custom(given: Mapping[str, Any]) -> bool:
    return "className" in given or "classFileName" in given


def _command(document: Document, space: Space | None) -> Iterator[Problem]:
    old = document.data.get("trial")
    key, command = ("trial.command", old.get("command")) if isinstance(old, Mapping) else ("trialCommand", None)
    command = command or document.data.get("trialCommand")
    if not command:
        expected = "python -m litune.backends.nni.trial experiment=NAME"
        yield Problem(key=key, got="nothing", expected=expected)
        return
    try:
        words = shlex.split(str(command))
    except ValueError as error:  # a quote that is not closed
        yield Problem(key=key, got=repr(command), expected=f"a command of the shell ({error})")
        return
    home = document.path.parent / str(document.data.get("trialCodeDirectory") or ".")
    if _TRIAL in words and home.resolve() == Path.cwd():  # else its experiments are not those that are found here
        try:
            composed = compose.compose(words[words.index(_TRIAL) + 1 :])
            searched = checks.given(composed.overridden, space, "the search space") if space else ()
            problems: Sequence[Problem] = [*composed.problems, *_elsewhere(composed), *searched]
        except InputError as error:
            problems = error.problems
        for problem in problems:
            typed = problem.where == WHERE
            yield replace(problem, where=document.where(key)) if typed else problem


def _elsewhere(composed: compose.Composed) -> Iterator[Problem]:
    """Yield that the trials would not look for their ledger where the experiment has it."""
    runs = composed.config.search.runs
    if runs != configs.schema().search.runs and RUNS not in composed.overridden:
        expected = "it in trialCommand: a trial finds its driver by the command alone"
        yield Problem(key=RUNS, got=repr(runs), expected=expected, cure=f"{RUNS}={runs}", where=composed.where(RUNS))


def _values(document: Document) -> Iterator[Problem]:
    data = document.data
    value = data.get("trialConcurrency")
    if not _is_whole(value, 1):
        yield Problem(key="trialConcurrency", got=repr(value), expected="how many trials run at once, 1 or more")
    for key, least in (("maxTrialNumber", 1), ("maxTrialNum", 1), ("trialGpuNumber", 0)):
        if data.get(key) is not None and not _is_whole(data[key], least):
            yield Problem(key=key, got=repr(data[key]), expected=f"a whole number, at least {least}")
    for key in ("maxExperimentDuration", "maxTrialDuration", "maxExecDuration"):
        if data.get(key) is not None and not re.fullmatch(r"\d+[smhd]?", str(data[key])):
            yield Problem(key=key, got=repr(data[key]), expected="a number with its unit: 90s, 30m, 2h or 1d")
    where = data.get("trialCodeDirectory")
    if where is not None and not (document.path.parent / str(where)).is_dir():
        yield Problem(key="trialCodeDirectory", got=repr(where), expected="a directory")
    service = data.get("trainingService")
    platform = service.get("platform") if isinstance(service, Mapping) else data.get("trainingServicePlatform")
    if platform not in _PLATFORMS:
        key = "trainingServicePlatform" if "trainingServicePlatform" in data else "trainingService.platform"
        near = nearest(str(platform), _PLATFORMS)
        yield Problem(key=key, got=repr(platform), expected=f"one of {', '.join(_PLATFORMS)}", nearest=near)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _space(document: Document) -> tuple[Space | None, list[Problem]]:
    data = document.data
    for key in ("searchSpaceFile", "searchSpacePath"):
        if data.get(key):
            try:
                return space_file.load(document.path.parent / str(data[key])), []
            except InputError as error:
                return None, list(error.problems)
    if data.get("searchSpace"):
        try:
            return space_file.parse(data["searchSpace"], lambda key: document.where(f"searchSpace.{key}")), []
        except InputError as error:
            return None, list(error.problems)
    return None, [Problem(key="searchSpaceFile", got="nothing", expected="the path of a search space, NNI's JSON")]


def _shape(key: str, given: Any, known: tuple[str, ...]) -> Iterator[Problem]:
    """Yield what is wrong with the form of an algorithm given as a mapping."""
    if not isinstance(given, Mapping):
        return
    if not given.get("name"):
        yield Problem(key=f"{key}.name", got="nothing", expected=f"one of {', '.join(known)}")
    for name in sorted(map(str, set(given) - set(launch.SECTION))):
        expected, near = f"one of {', '.join(launch.SECTION)}", nearest(name, launch.SECTION)
        yield Problem(key=f"{key}.{name}", got="an unknown key", expected=expected, nearest=near)
    arguments = given.get("classArgs")
    if not isinstance(arguments, Mapping | None):
        yield Problem(key=f"{key}.classArgs", got=repr(arguments), expected="arguments by their names: {seed: 1, ...}")


def _algorithm(key: str, name: str, known: tuple[str, ...]) -> Iterator[Problem]:
    by_case = {other.lower(): other for other in (*known, *_NEEDS, *_BROKEN)}
    proper = by_case.get(name.lower(), name)
    expected = f"one of {', '.join(known)}"
    if proper in _NEEDS and known is TUNERS:
        module, package = _NEEDS[proper]
        if importlib.util.find_spec(module) is None:
            cure = f"NNI 3.0 needs {module} for it: pip install {package} (where that still installs)"
            yield Problem(key=key, got=repr(name), expected=expected, cure=cure)
    elif proper in _BROKEN and known is TUNERS:
        yield Problem(key=key, got=f"{name!r} ({_BROKEN[proper]})", expected=expected)
    elif proper not in known:
        yield Problem(key=key, got=repr(name), expected=expected, nearest=nearest(name, known))


def _arguments(key: str, name: str, arguments: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[Problem]:
    if not arguments or name.lower() not in (other.lower() for other in known):
        return
    from nni.tools.package_utils.tuner_factory import get_builtin_module_class_name

    module, cls = get_builtin_module_class_name("tuners" if known is TUNERS else "assessors", name)
    accepted = [*inspect.signature(getattr(importlib.import_module(module), cls)).parameters]
    for argument in arguments:
        if argument not in accepted:
            expected = f"one of {', '.join(accepted)}" if accepted else "none"
            where = f"{key}.classArgs.{argument}"
            yield Problem(key=where, got="an unknown argument", expected=expected, nearest=nearest(argument, accepted))


def _grid(key: str, name: str, space: Space) -> Iterator[Problem]:
    if name.lower() == "gridsearch" and (ranges := space.continuous()):
        got = f"GridSearch over the continuous {', '.join(ranges)}, which it would divide for ever"
        cure = "Random, TPE and Evolution take ranges; litune's own search.algorithm=tpe too"
        yield Problem(key=key, got=got, expected="choice, randint or quantised parameters only", cure=cure)


def _direction(key: str, name: str, direction: str | None, mode: str) -> Iterator[Problem]:
    wanted = launch.DIRECTIONS[mode]
    if name.lower() in launch.DIRECTED and direction != wanted:
        got = f"{name}, which would {direction}, for objective.mode={mode}"
        yield Problem(key=key, got=got, expected=f"classArgs: {{optimize_mode: {wanted}}}")
    if name.lower() == "curvefitting" and mode == "min":
        yield Problem(key=key, got="Curvefitting, which takes larger for better", expected="Medianstop")


def _holder(port: int) -> str:
    import psutil

    for connection in psutil.net_connections(kind="inet"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another process"
