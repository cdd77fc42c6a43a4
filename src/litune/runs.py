"""Run directories: what a search is a function of, its name, and opening or continuing it.

runs/NAME/config.yaml      the config as given, interpolations unresolved
runs/NAME/space.json       the search space
runs/NAME/ledger.db        every trial (ledger.py)
runs/NAME/lock             held by the driver (lock.py)
runs/NAME/trials/0007/     config.yaml, log.txt, csv/, tensorboard/, checkpoints/
runs/NAME/best.yaml        the best trial's config, for train.py
runs/NAME/ray-page         the address of Ray's dashboard, while it is up
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune import auto, enqueued, legs, lock, provenance
from litune import config as configs
from litune import ledger as ledgers
from litune.errors import InputError, LedgerDamaged, Problem, StudyChanged, nearest
from litune.ledger import Ledger
from litune.parallelism import devices_a_trial, gpus_of, lag_of, parallel_of, threads_of
from litune.space import Space
from litune.space_file import dump
from litune.space_file import load as load_space
from litune.study import Study
from litune.table import TrialRow
from litune.terms import Effort, Terms
from litune.transfer import LEARNING, EarlierRun, learn
from litune.trial import TrialState

OUTCOME = "outcome.json"  # in the directory of a single training: how it ended
FORMAT = 1
RAY_PAGE = "ray-page"
PACKAGES = ("litune", "torch", "pytorch-lightning", "lightning", "optuna", "numpy")
# The sections of the config that no trial's outcome depends on; of `search` only what Terms takes from it counts.
_APART = ("name", "dashboard", "backend", "search", "logger")
# ... and of `backend` what chooses and stops trials in the study's place.
OWN = ("searcher", "scheduler", "mutate", "tuner", "assessor")
_IN_NAME = ("algorithm", "pruner", "seed_per_trial")


def run_name(config: DictConfig, space: Space) -> str:
    """Return the run's name: `name`, or the experiment's with a digest of what the search is a function of."""
    if config.name:
        return str(config.name)
    search = {name: config.search[name] for name in (*_IN_NAME, "lag", "threads")}
    if config.search.enqueue:
        search["enqueue"] = enqueued.read(config, space)
    if config.search.warm_start:
        search["warm_start"] = sorted(Path(run).name for run in config.search.warm_start)
    meaning = json.dumps([_identity(config), dump(space), search], sort_keys=True, default=str)
    return f"{config.experiment}-{hashlib.sha256(meaning.encode()).hexdigest()[:8]}"


def directory_of(config: DictConfig, space: Space) -> Path:
    """Return the run's directory."""
    return Path(config.search.runs).absolute() / run_name(config, space)


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
    (directory / "trials").mkdir(parents=True, exist_ok=True)
    with lock.held(directory):
        study = _open(config, space, directory)
        try:
            yield study
        finally:
            study.close()


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Make what is written meanwhile readable by its owner alone: files 0600, directories 0700."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _open(config: DictConfig, space: Space, directory: Path) -> Study:
    url = ledgers.storage_url(directory, config.search.storage)
    before = earlier(config, space)
    algorithm, why = auto.of(config, space)
    terms = _terms(config, algorithm, space, before)
    about = {
        "format": FORMAT,
        "config": _identity(config),
        "space": dump(space),
        "terms": _plain(terms),
        "why": why,
        "made_with": {name: found for name in PACKAGES if (found := _version(name))},
        "command": provenance.command(),
        "commit": provenance.commit(),
    }
    for path, text in (
        (directory / "config.yaml", configs.snapshot(config)),
        (directory / "space.json", _space_text(space)),
    ):
        if not path.exists():
            path.write_text(text)
    objective = configs.objective(config)
    ledger = ledgers.create(url, directory.name, metric=objective.metric, maximize=objective.maximize, about=about)
    terms = _same_search(ledger.about, about, config, directory)
    effort = Effort(
        trials=legs.trials_in_all(config),
        parallel=parallel_of(config),
        steps=legs.steps_in_all(config),
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
        effort=effort,
        ledger=ledger,
        directory=directory,
        earlier=before,
        why=ledger.about.get("why", ""),
    )


def find(run: str, root: Path = Path("runs")) -> Path:
    """Return the directory of a run given by its path, or by its name under `root`."""
    for directory in (Path(run), root / run):
        if (directory / "config.yaml").is_file():
            return directory.absolute()
    known = sorted(path.parent.name for path in root.glob("*/config.yaml"))
    expected = "a run directory" + (
        f"; under {root}/ there are: {', '.join(known)}" if known else f"; {root}/ has none"
    )
    raise InputError(Problem(key="run", got=repr(run), expected=expected, nearest=nearest(Path(run).name, known)))


def read(directory: Path) -> tuple[DictConfig, Space, Ledger]:
    """Return the config, space and ledger of a run."""
    config = configs.load(directory / "config.yaml")
    space = load_space(directory / "space.json")
    try:
        ledger = Ledger(ledgers.storage_url(directory, config.search.storage), directory.name)
    except KeyError:
        raise LedgerDamaged(f"{directory}: the ledger has no study {directory.name!r}") from None
    return config, space, ledger


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


def _identity(config: DictConfig) -> dict[str, Any]:
    stored = configs.stored(config)
    identity = {name: section for name, section in stored.items() if name not in _APART}
    if own := {name: stored["backend"][name] for name in OWN if stored["backend"].get(name) is not None}:
        identity["backend"] = own
    return identity


def _terms(config: DictConfig, algorithm: str, space: Space, before: Iterable[EarlierRun]) -> Terms:
    search = config.search
    return Terms(
        algorithm=algorithm,
        pruner=search.pruner,
        seed=config.seed,
        seed_per_trial=search.seed_per_trial,
        lag=lag_of(config),
        threads=threads_of(config),
        max_steps=legs.steps_of(config),
        enqueue=enqueued.read(config, space),
        warm_start={run.name: run.digest for run in before},
    )


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
        ledger.close()
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
    if (name := run_name(config, space)) in names:
        yield Problem(key=key, got=repr(name), expected="runs other than this one")


def _plain(terms: Terms) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(terms)))
    return plain


def _same_search(made: Mapping[str, Any], asked: Mapping[str, Any], config: DictConfig, directory: Path) -> Terms:
    """Return the terms that the study was made with, if the search asked for is the same one."""
    if made.get("format") != FORMAT:
        raise LedgerDamaged(f"{directory}: the ledger is of format {made.get('format')!r}; this litune reads {FORMAT}")
    free = {"threads": config.search.threads is None, "lag": config.search.lag is None}
    free["algorithm"] = config.search.algorithm == "auto"
    terms = Terms(**made["terms"])
    wanted = {**asked["terms"], **{name: made["terms"][name] for name, is_free in free.items() if is_free}}
    before = _flat({"": made["config"], "search": {**_plain(terms), "seed": None}, "space": made["space"]})
    after = _flat({"": asked["config"], "search": {**wanted, "seed": None}, "space": asked["space"]})
    changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    if changed:
        cure = "take the change back, or give the new search another name="
        raise StudyChanged(
            Problem(where=str(directory), key=key, got=_text(after, key), expected=_text(before, key), cure=cure)
            for key in changed
        )
    return terms


def _text(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "nothing"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {prefix: value}
    parts = (_flat(child, f"{prefix}.{name}" if prefix else str(name)) for name, child in value.items())
    return {key: leaf for part in parts for key, leaf in part.items()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
