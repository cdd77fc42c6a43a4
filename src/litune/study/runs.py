"""Run directories: opening a search or continuing it, and reading what one found. Their names: identity.py.

runs/NAME/config.yaml      the config as given, interpolations unresolved
runs/NAME/space.json       the search space
runs/NAME/ledger.db        every trial (ledger.py)
runs/NAME/lock             held by the driver (lock.py)
runs/NAME/trials/0007/     config.yaml, log.txt, csv/, tensorboard/, checkpoints/
runs/NAME/best.yaml        the best trial's config, for train.py
runs/NAME/search.log       what a detached search prints
runs/NAME/report.html      by `litune report`; beside it confirm/ and replays/, by the commands of these names
runs/NAME/ray, nni         what these keep of their own; ray-page is the address of Ray's dashboard, while it is up
runs/NAME/outcome.json     in place of a ledger, for a single training: how it ended
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune import steps
from litune.algorithms import auto
from litune.algorithms.terms import Execution
from litune.algorithms.warm_start import LEARNING, EarlierRun, learn
from litune.config import config as configs
from litune.errors import InputError, LedgerDamaged, Problem, nearest
from litune.parallelism import devices_a_trial, gpus_of, parallel_of
from litune.space import enqueued
from litune.space.space import Space
from litune.space.space_file import dump
from litune.space.space_file import load as load_space
from litune.study import database, identity, lock
from litune.study import ledger as ledgers
from litune.study.ledger import Ledger
from litune.study.study import Study
from litune.table import TrialRow
from litune.trial import TrialState

OUTCOME = "outcome.json"  # in the directory of a single training: how it ended
RAY_PAGE = "ray-page"


def directory_of(config: DictConfig, space: Space) -> Path:
    """Return the run's directory."""
    return Path(config.search.runs).absolute() / identity.run_name(config, space)


def refuse_if_held(config: DictConfig, space: Space) -> None:
    """Raise StudyLocked if another driver is at work on the run now, long before opened() would find out."""
    directory = directory_of(config, space)
    if directory.is_dir():
        with lock.held(directory):
            pass


@contextlib.contextmanager
def opened(config: DictConfig, space: Space) -> Iterator[Study]:
    """Hold the run's lock and its study, made anew or continued; StudyChanged where it was made as another search."""
    directory = directory_of(config, space)
    try:
        (directory / "trials").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cure = f"{error.strerror}: {error.filename}"
        expected = "a directory that can be made"
        raise InputError(Problem(key="search.runs", got=config.search.runs, expected=expected, cure=cure)) from error
    with _named(directory), lock.held(directory):
        study = _open(config, space, directory)
        try:
            yield study
        finally:
            study.close()


@contextlib.contextmanager
def _named(directory: Path) -> Iterator[None]:
    """Have an error of the disk that names no file, as of a full one, name the run."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(directory)
        raise


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Make what is written meanwhile readable by its owner alone: files 0600, directories 0700."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _open(config: DictConfig, space: Space, directory: Path) -> Study:
    config = _anchored(config)
    url = ledgers.storage_url(directory, config.search.storage)
    before = earlier(config, space)
    algorithm, why = auto.of(config, space)
    about = identity.about(config, space, identity.terms_of(config, algorithm, space, before), why)
    for path, text in (
        (directory / "config.yaml", configs.snapshot(config)),
        (directory / "space.json", _space_text(space)),
    ):
        if not path.exists():
            path.write_text(text)
    objective = configs.objective(config)
    ledger = ledgers.create(
        url,
        directory.name,
        metric=objective.metric,
        maximize=objective.maximize,
        about=about,
        begun=any((directory / "trials").iterdir()),
    )
    terms = identity.same_search(ledger.about, about, config, directory)
    execution = Execution(
        trials=steps.trials_in_all(config),
        parallel=parallel_of(config),
        steps=steps.steps_in_all(config),
        seconds=config.search.budget.seconds,
        reuse=config.search.duplicates == "reuse",
        keep_checkpoints=config.search.keep_checkpoints,
        trial_timeout=config.search.trial_timeout,
        timeout=config.search.timeout,
        memory_gb=config.search.memory_gb,
        devices=tuple(gpus_of(config)),
        devices_a_trial=devices_a_trial(config),
        retries=configs.plain(config.search.retries),
        equal_failures=config.search.stop_after_equal_failures,
    )
    return Study(
        config=configs.stored(config),
        space=space,
        objective=objective,
        terms=terms,
        execution=execution,
        ledger=ledger,
        directory=directory,
        earlier=before,
        why=ledger.about.get("why", ""),
    )


def _anchored(config: DictConfig) -> DictConfig:
    """Return the config as the run keeps it: what it says of its ledger does not depend on the current directory."""
    given = config.search.storage
    absolute = given and database.anchored(given)
    return config if absolute == given else configs.replaced(config, {"search.storage": absolute})


def find(run: str, root: Path = Path("runs")) -> Path:
    """Return the directory of a run given by its path, or by its name under `root`."""
    for directory in (Path(run), root / run):
        if (directory / "config.yaml").is_file():
            return directory.absolute()
    for directory in (Path(run), root / run):
        if any((directory / name).exists() for name in ("space.json", ledgers.FILE)):
            raise InputError(_lost(directory / "config.yaml"))
    known = sorted(path.parent.name for path in root.glob("*/config.yaml"))
    expected = "a run directory" + (
        f"; under {root}/ there are: {', '.join(known)}" if known else f"; {root}/ has none"
    )
    raise InputError(Problem(key="run", got=repr(run), expected=expected, nearest=nearest(Path(run).name, known)))


def read(directory: Path) -> tuple[DictConfig, Space, Ledger]:
    """Return the config, space and ledger of a run."""
    if not (directory / "space.json").is_file():
        if (directory / ledgers.FILE).exists():
            raise InputError(_lost(directory / "space.json"))
        expected = "the directory of a search, which has a space.json"
        raise InputError(Problem(where=str(directory), got="a single training or trial", expected=expected))
    config = configs.load(directory / "config.yaml")
    space = load_space(directory / "space.json")
    url = ledgers.storage_url(directory, config.search.storage)
    if (file := database.file_of(url)) and not file.exists():
        raise _gone(file, directory)
    ledger = Ledger(url, directory.name)
    ledger.close()  # its rows are read; whoever asks it for more has it connect again
    if not ledger.about:
        raise LedgerDamaged(f"{directory}: it was killed before its first trial", "the search's own command begins it")
    return config, space, ledger


def _gone(file: Path, directory: Path) -> LedgerDamaged:
    what = f"{file}: there is no such file"
    if file == directory.absolute() / ledgers.FILE:
        return LedgerDamaged(what)
    return LedgerDamaged(what, f"bring it back, or say where it is now: search.storage in {directory / 'config.yaml'}")


def _lost(path: Path) -> Problem:
    cure = "restore it, or give the search's own command again, which writes it anew"
    return Problem(where=str(path), got="no such file", expected="it beside the ledger", cure=cure)


def best_config(config: DictConfig, row: TrialRow, terms: Mapping[str, Any]) -> DictConfig:
    """Return the config that trains a trial again, to the same bits."""
    again = {"name": None, "seed": row.seed, "search.threads": terms["threads"]}
    return configs.merge(configs.merge(config, row.params), again)


def write_best(directory: Path, config: DictConfig, row: TrialRow, terms: Mapping[str, Any], note: str = "") -> Path:
    """Write best.yaml, with the note in its head, and return its path."""
    path = directory / "best.yaml"
    head = f"# trial {row.number} of {directory.name}: {config.objective.metric} = {row.score!r}\n"
    if row.schedule:
        head += (
            "# its params changed while it trained; with these, the last ones, from the start on it scores otherwise\n"
        )
        row = replace(row, params=row.schedule[-1]["params"])
    if row.state is TrialState.PRUNED:
        head += f"# after {len(row.history)} validations, where the search left it; this config trains it to its end\n"
    head += f"# {note}\n" if note else ""
    path.write_text(head + configs.snapshot(best_config(config, row, terms)))
    return path


def _space_text(space: Space) -> str:
    return json.dumps(dump(space), indent=2) + "\n"


def earlier(config: DictConfig, space: Space) -> tuple[EarlierRun, ...]:
    """Return what the runs named by search.warm_start teach, ordered by name; InputError with all that cannot."""
    found, problems = {}, []
    for number, run in enumerate(config.search.warm_start):
        key = f"search.warm_start.{number}"
        try:
            directory = find(run, Path(config.search.runs))
            before, _, ledger = read(directory)
        except InputError as error:
            problems += [replace(problem, key=problem.key if problem.where else key) for problem in error.problems]
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


def check_earlier(config: DictConfig, space: Space) -> Iterator[Problem]:
    """Yield what is wrong with search.warm_start."""
    key, algorithm = "search.warm_start", config.search.algorithm
    yield from enqueued.refuse_foreign(config, key)
    if algorithm not in LEARNING:
        expected = f"nothing beside search.algorithm={algorithm}, which does not learn from earlier runs"
        yield Problem(key=key, got="a list", expected=expected, cure=f"those that do: {', '.join(LEARNING)}")
    try:
        names = [run.name for run in earlier(config, space)]
    except InputError as error:
        yield from error.problems
        return
    if (name := identity.run_name(config, space)) in names:
        yield Problem(key=key, got=repr(name), expected="runs other than this one")
