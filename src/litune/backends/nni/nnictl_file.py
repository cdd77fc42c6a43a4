"""A config file of nnictl, in its present form or that of NNI 1, checked (litune nni-check).

NNI accepts in silence, and then does wrong, much of what is found here: the trial command, the space, the values, the
tuner and the assessor.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from litune import checks, launch
from litune.arguments import WHERE
from litune.backends.nni import algorithms
from litune.backends.nni.checks import directions, unknown_arguments
from litune.backends.nni.drivers import RUNS
from litune.config import compose, documents
from litune.config import config as configs
from litune.config.documents import Document
from litune.errors import InputError, Problem, nearest
from litune.space import space_file
from litune.space.space import Space

_PLATFORMS = ("local", "remote", "openpai", "aml", "dlc", "kubeflow", "frameworkcontroller", "hybrid", "adl")
_TRIAL = "litune.backends.nni.trial"
_ANOTHER = re.compile(r"(^(\S*/)?|-m )litune(\s|$)")  # `litune train` and the like
_KEYS = (
    "searchSpaceFile", "searchSpace", "trialCommand", "trialConcurrency", "tuner", "trainingService", "experimentName",
    "experimentType", "trialCodeDirectory", "trialGpuNumber", "maxExperimentDuration", "maxTrialNumber",
    "maxTrialDuration", "nniManagerIp", "useAnnotation", "debug", "logLevel", "experimentWorkingDirectory",
    "tunerGpuIndices", "assessor", "advisor", "sharedStorage", "authorName", "logDir", "maxExecDuration", "maxTrialNum",
    "trainingServicePlatform", "searchSpacePath", "trial", "localConfig", "multiThread", "versionCheck", "description",
    "logCollection",
)  # fmt: skip


def check(path: Path) -> list[Problem]:
    """Return what is wrong with the file, each problem with its line."""
    document = documents.read(path)
    unknown = [key for key in document.data if key not in _KEYS]
    problems = [
        Problem(key=key, got="an unknown key", expected="a key of NNI", nearest=nearest(key, _KEYS)) for key in unknown
    ]
    space, found = _space(document)
    problems += [*_command(document, space), *_values(document), *found]
    for kind in algorithms.KNOWN:
        problems += _algorithm(kind, document.data, space)
    return [problem if problem.where else replace(problem, where=document.where(problem.key)) for problem in problems]


def _algorithm(kind: str, data: Mapping[str, Any], space: Space | None) -> Iterator[Problem]:
    """Yield what is wrong with the file's tuner or assessor."""
    given, known = data.get(kind) or {}, algorithms.KNOWN[kind]
    if not isinstance(given, Mapping):
        yield Problem(key=kind, got=repr(given), expected=f"a section, as {kind}: {{name: {known[0]}}}")
        return
    old = f"builtin{kind.capitalize()}Name"
    last = old if old in given else "name"
    key, name = f"{kind}.{last}", given.get(last)
    custom = "className" in given or "classFileName" in given
    if name is not None:
        yield from algorithms.unusable(kind, key, str(name))
        if isinstance(arguments := given.get("classArgs"), Mapping):
            yield from unknown_arguments(kind, kind, str(name), arguments)
        if space:
            yield from algorithms.endless_grid(key, str(name), space)
    elif kind == "tuner" and not custom and "advisor" not in data:
        yield Problem(key="tuner.name", got="nothing", expected=f"one of {', '.join(known)}")


def _command(document: Document, space: Space | None) -> Iterator[Problem]:
    """Yield what is wrong with the trial command, and with the config that it makes."""
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
    if _ANOTHER.search(str(command)):
        expected = f"python -m {_TRIAL} and the KEY=VALUE of the search"
        yield Problem(key=key, got=repr(command), expected=expected, cure="NNI would learn no score from this command")
    home = document.path.parent / str(document.data.get("trialCodeDirectory") or ".")
    if _TRIAL in words and home.resolve() == Path.cwd():  # else its experiments are not those that are found here
        try:
            composed = launch.composed(words[words.index(_TRIAL) + 1 :])
            searched = checks.given_but_searched(composed.overridden, space, "the search space") if space else ()
            problems: Sequence[Problem] = [*composed.problems, *_elsewhere(composed), *searched]
            if not problems:
                problems = directions(document.data, composed.config.objective.mode)
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
    """Yield the numbers, times, directories and platforms that NNI cannot use."""
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
    """Return the search space of the file, and what is wrong with it."""
    data = document.data
    try:
        for key in ("searchSpaceFile", "searchSpacePath"):
            if data.get(key):
                return space_file.load(document.path.parent / str(data[key])), []
        if data.get("searchSpace"):
            return space_file.parse(data["searchSpace"], lambda key: document.where(f"searchSpace.{key}")), []
    except InputError as error:
        return None, list(error.problems)
    return None, [Problem(key="searchSpaceFile", got="nothing", expected="the path of a search space, NNI's JSON")]
