"""A search's run directory and study, made anew or continued."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from litune import steps, unix_socket
from litune.algorithms import auto
from litune.algorithms.terms import Execution
from litune.config import config as configs
from litune.errors import InputError, Problem
from litune.parallelism import devices_a_trial, gpus_of, parallel_of
from litune.space.space import Space
from litune.study import database, description, earlier_runs, identity, lock, postgresql_lock
from litune.study import ledger as ledgers
from litune.study.study import Study


def refuse_if_held(config: DictConfig, space: Space) -> None:
    """Raise StudyLocked if another driver is at work on the run now, long before opened() would find out."""
    directory = identity.directory_of(config, space)
    if directory.is_dir():
        with lock.held(directory):
            pass


@contextlib.contextmanager
def opened(config: DictConfig, space: Space) -> Iterator[Study]:
    """Hold the run's lock and its study, made anew or continued; StudyChanged where it was made as another search."""
    directory = identity.directory_of(config, space)
    make(directory / "trials", config)
    url = ledgers.storage_url(directory, config.search.storage)
    with _named(directory), lock.held(directory), postgresql_lock.held(url, directory.name):
        study = _open(config, space, directory)
        try:
            yield study
        finally:
            study.close()
            for name in (unix_socket.DRIVER, unix_socket.PARENT):  # nobody listens any more: here, or killed before
                (directory / name).unlink(missing_ok=True)


def make(directory: Path, config: DictConfig) -> None:
    """Make a directory of the run, and those above it; InputError where that cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cure = f"{error.strerror}: {error.filename}"
        expected = "a directory that can be made"
        raise InputError(Problem(key="search.runs", got=config.search.runs, expected=expected, cure=cure)) from error


@contextlib.contextmanager
def _named(directory: Path) -> Iterator[None]:
    """Have an error of the disk that names no file, as of a full one, name the run."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(directory)
        raise


def _open(config: DictConfig, space: Space, directory: Path) -> Study:
    config = _anchored(config)
    url = ledgers.storage_url(directory, config.search.storage)
    before = earlier_runs.read(config, space)
    algorithm, why = auto.of(config, space)
    about = identity.about(config, space, identity.terms_of(config, algorithm, space, before), why)
    description.write(directory, config, space)
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
    description.mend(directory, config, space, ledger.about)
    description.note_reach(directory, config)
    return Study(
        config=configs.stored(configs.replaced(config, {"search.algorithm": terms.algorithm})),
        space=space,
        objective=objective,
        terms=terms,
        execution=_execution_of(config),
        ledger=ledger,
        directory=directory,
        earlier=before,
        why=ledger.about.get("why", ""),
    )


def _execution_of(config: DictConfig) -> Execution:
    """Return how the search is carried out by this command."""
    return Execution(
        trials=steps.trials_in_all(config),
        parallel=parallel_of(config),
        steps=steps.steps_in_all(config),
        seconds=config.search.budget.seconds,
        reuse=config.search.duplicates == "reuse",
        keep_checkpoints=config.search.keep_checkpoints,
        trial_timeout=config.search.trial_timeout,
        timeout=config.search.timeout,
        memory_gb=config.search.memory_gb,
        devices=tuple(gpus_of(config.trainer)),
        devices_a_trial=devices_a_trial(config.trainer),
        retries=configs.plain(config.search.retries),
        equal_failures=config.search.stop_after_equal_failures,
    )


def _anchored(config: DictConfig) -> DictConfig:
    """Return the config as the run keeps it: what it says of its ledger does not depend on the current directory."""
    given = config.search.storage
    absolute = given and database.anchored(given)
    return config if absolute == given else configs.replaced(config, {"search.storage": absolute})
