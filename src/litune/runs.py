"""Run directories: what a search is a function of, its name, and opening or continuing it.

runs/NAME/config.yaml      the config as given, interpolations unresolved
runs/NAME/space.json       the search space
runs/NAME/ledger.db        every trial (ledger.py)
runs/NAME/lock             held by the driver (lock.py)
runs/NAME/trials/0007/     config.yaml, log.txt, csv/, tensorboard/, checkpoints/
runs/NAME/best.yaml        the best trial's config, for train.py
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune import config as configs
from litune import enqueued, lock
from litune import ledger as ledgers
from litune.errors import InputError, LedgerDamaged, Problem, StudyChanged, nearest
from litune.ledger import Ledger
from litune.space import Space
from litune.space_file import dump
from litune.space_file import load as load_space
from litune.study import Effort, Study, Terms
from litune.suggest import choose_algorithm
from litune.table import TrialRow
from litune.workers import limits

LAG = 4  # docs/decisions/lag.md
FORMAT = 1
PACKAGES = ("litune", "torch", "pytorch-lightning", "lightning", "optuna", "numpy")
# The sections of the config that no trial's outcome depends on; of `search` only what Terms takes from it counts.
_APART = ("name", "backend", "search", "logger")
_IN_NAME = ("algorithm", "pruner", "seed_per_trial")


def parallel_of(config: DictConfig) -> int:
    """Return how many trials run at once: as asked, else the number of GPUs, else min(4, cores)."""
    return config.search.parallel or len(_gpus(config)) or min(4, limits.cores())


def run_name(config: DictConfig, space: Space) -> str:
    """Return the run's name: `name`, or the experiment's with a digest of what the search is a function of."""
    if config.name:
        return str(config.name)
    search = {name: config.search[name] for name in (*_IN_NAME, "lag", "threads")}
    if config.search.enqueue:
        search["enqueue"] = enqueued.read(config, space)
    meaning = json.dumps([_identity(config), dump(space), search], sort_keys=True, default=str)
    return f"{config.experiment}-{hashlib.sha256(meaning.encode()).hexdigest()[:8]}"


def refuse_if_held(config: DictConfig, space: Space) -> None:
    """Raise StudyLocked if another driver is at work on the run now, long before opened() would find out."""
    directory = Path(config.search.runs).absolute() / run_name(config, space)
    if directory.is_dir():
        with lock.held(directory):
            pass


@contextlib.contextmanager
def opened(config: DictConfig, space: Space) -> Iterator[Study]:
    """Hold the run's lock and its study, made anew or continued; StudyChanged where it was made as another search."""
    directory = Path(config.search.runs).absolute() / run_name(config, space)
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
    terms = _terms(config, space)
    about = {
        "format": FORMAT,
        "config": _identity(config),
        "space": dump(space),
        "terms": _plain(terms),
        "made_with": {name: found for name in PACKAGES if (found := _version(name))},
    }
    for path, text in (
        (directory / "config.yaml", configs.snapshot(config)),
        (directory / "space.json", _space_text(space)),
    ):
        if not path.exists():
            path.write_text(text)
    ledgers.create(url, directory.name, maximize=configs.objective(config).maximize, about=about)
    ledger = Ledger(url, directory.name)
    terms = _same_search(ledger.about, about, config, directory)
    effort = Effort(
        trials=config.search.trials,
        parallel=parallel_of(config),
        reuse=config.search.duplicates == "reuse",
        keep_checkpoints=config.search.keep_checkpoints,
        trial_timeout=config.search.trial_timeout,
        timeout=config.search.timeout,
        memory_gb=config.search.memory_gb,
        devices=tuple(_gpus(config)),
    )
    return Study(
        config=configs.stored(config),
        space=space,
        objective=configs.objective(config),
        terms=terms,
        effort=effort,
        ledger=ledger,
        directory=directory,
    )


def find(run: str) -> Path:
    """Return the directory of a run given by its path, or by its name under runs/."""
    for directory in (Path(run), Path("runs") / run):
        if (directory / "config.yaml").is_file():
            return directory.absolute()
    known = sorted(path.parent.name for path in Path("runs").glob("*/config.yaml"))
    expected = "a run directory" + (f"; under runs/ there are: {', '.join(known)}" if known else "; runs/ has none")
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


def write_best(directory: Path, config: DictConfig, row: TrialRow, terms: Mapping[str, Any]) -> Path:
    """Write best.yaml and return its path."""
    path = directory / "best.yaml"
    head = f"# trial {row.number} of {directory.name}: {config.objective.metric} = {row.score!r}\n"
    path.write_text(head + configs.snapshot(best_config(config, row, terms)))
    return path


def _space_text(space: Space) -> str:
    return json.dumps(dump(space), indent=2) + "\n"


def _identity(config: DictConfig) -> dict[str, Any]:
    return {name: section for name, section in configs.stored(config).items() if name not in _APART}


def _terms(config: DictConfig, space: Space) -> Terms:
    search, parallel = config.search, parallel_of(config)
    return Terms(
        algorithm=choose_algorithm(search.algorithm, space, search.trials),
        pruner=search.pruner,
        seed=config.seed,
        seed_per_trial=search.seed_per_trial,
        lag=max(search.lag or LAG, parallel),
        threads=search.threads or max(1, limits.cores() // parallel),
        max_steps=config.trainer.max_epochs or 1,
        enqueue=enqueued.read(config, space),
    )


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


def _gpus(config: DictConfig) -> list[int]:
    return [] if config.trainer.accelerator == "cpu" else limits.gpus()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
