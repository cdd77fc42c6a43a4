"""The runs that search.warm_start names: read, and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from litune.algorithms.warm_start import LEARNING, EarlierRun, learn
from litune.config import config as configs
from litune.errors import InputError, LedgerDamaged, Problem
from litune.space import enqueued
from litune.space.space import Space
from litune.study import identity, runs


def read(config: DictConfig, space: Space) -> tuple[EarlierRun, ...]:
    """Return what the runs named by search.warm_start teach, ordered by name; InputError with all that cannot."""
    found, problems = {}, []
    for number, run in enumerate(config.search.warm_start):
        key = f"search.warm_start.{number}"
        try:
            directory = runs.find(run, Path(config.search.runs))
            before, _, ledger = runs.read(directory)
        except InputError as error:
            problems += [_told(problem, key, run) for problem in error.problems]
            continue
        except LedgerDamaged as error:
            problems.append(Problem(key=key, got=str(error), expected="a run that can be read"))
            continue
        if directory.name in found:
            problems.append(Problem(key=key, got=repr(run), expected="runs of distinct names, each once"))
        found[directory.name] = learn(directory.name, ledger.rows.values(), configs.objective(before), space)
    if problems:
        raise InputError(problems)
    return tuple(found[name] for name in sorted(found))


def _told(problem: Problem, key: str, run: str) -> Problem:
    """Return the problem with a run under the key; with the cure where a file or URL, another program's, is given."""
    told = replace(problem, key=problem.key if problem.where else key)
    if told.nearest or told.cure or not (Path(run).is_file() or "://" in run):
        return told
    cure = "only runs of litune can teach; the best params of another study can be tried first: search.enqueue"
    return replace(told, cure=cure)


def check(config: DictConfig, space: Space) -> Iterator[Problem]:
    """Yield what is wrong with search.warm_start."""
    key, algorithm = "search.warm_start", config.search.algorithm
    yield from enqueued.refuse_foreign(config, key)
    if algorithm not in LEARNING:
        expected = f"nothing beside search.algorithm={algorithm}, which does not learn from earlier runs"
        yield Problem(key=key, got="a list", expected=expected, cure=f"those that do: {', '.join(LEARNING)}")
    try:
        names = [run.name for run in read(config, space)]
    except InputError as error:
        yield from error.problems
        return
    if (name := identity.run_name(config, space)) in names:
        yield Problem(key=key, got=repr(name), expected="runs other than this one")
