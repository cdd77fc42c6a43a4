"""What a search is a function of: the identity of a run, from which its name is made, and by which it is continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune import steps
from litune.algorithms.terms import Terms
from litune.algorithms.warm_start import EarlierRun
from litune.config import config as configs
from litune.config.experiments import in_a_name
from litune.errors import LedgerDamaged, Problem, StudyChanged
from litune.parallelism import first_lag_of, lag_of, threads_of
from litune.space import enqueued
from litune.space.space import Space
from litune.space.space_file import dump
from litune.study import provenance

FORMAT = 1
PACKAGES = ("litune", "torch", "pytorch-lightning", "lightning", "optuna", "numpy")
# The sections of the config that no trial's outcome depends on; of `search` only what Terms takes from it counts.
_APART = ("name", "dashboard", "backend", "search", "logger")
# ... and of `backend` what chooses and stops trials in the study's place.
OWN = ("searcher", "scheduler", "mutate", "tuner", "assessor")
_IN_NAME = ("algorithm", "pruner", "seed_per_trial")


def run_name(config: DictConfig, space: Space) -> str:
    """Return the run's name: `name`, or the experiment's with a digest of what the search is a function of.

    A field that is as it is by default is left out, so that a new one gives no run another name.
    """
    if config.name:
        return str(config.name)
    search = {name: config.search[name] for name in (*_IN_NAME, "lag", "threads")}
    if config.search.enqueue:
        search["enqueue"] = enqueued.read(config, space)
    if config.search.warm_start:
        search["warm_start"] = sorted(Path(run).name for run in config.search.warm_start)
    defaults = _defaults()
    given = {key: value for key, value in _flat(_identity(config)).items() if defaults.get(key) != value}
    meaning = json.dumps([given, dump(space), search], sort_keys=True, default=str)
    return f"{in_a_name(config.experiment)}-{hashlib.sha256(meaning.encode()).hexdigest()[:8]}"


def directory_of(config: DictConfig, space: Space) -> Path:
    """Return the run's directory."""
    return Path(config.search.runs).absolute() / run_name(config, space)


def terms_of(config: DictConfig, algorithm: str, space: Space, before: Iterable[EarlierRun]) -> Terms:
    """Return what the trial table is a function of, beside config and space; `before`: what search.warm_start names."""
    search = config.search
    return Terms(
        algorithm=algorithm,
        pruner=search.pruner,
        seed=config.seed,
        seed_per_trial=search.seed_per_trial,
        lag=lag_of(config, algorithm),
        threads=threads_of(config),
        max_steps=steps.steps_of(config) or 0,
        first_lag=first_lag_of(config, algorithm),
        enqueue=enqueued.read(config, space),
        warm_start={run.name: run.digest for run in before},
    )


def about(config: DictConfig, space: Space, terms: Terms, why: str) -> dict[str, Any]:
    """Return what the ledger keeps of a search, as JSON values; `why` it has its algorithm.

    `lag` is as given: that of the terms may be a larger one, see lag_of.
    """
    return {
        "format": FORMAT,
        "config": _identity(config),
        "space": dump(space),
        "terms": _plain(terms),
        "lag": config.search.lag,
        "why": why,
        "made_with": {name: found for name in PACKAGES if (found := _version(name))},
        "command": provenance.command(),
        "commit": provenance.commit(),
    }


def same_search(made: Mapping[str, Any], asked: Mapping[str, Any], config: DictConfig, directory: Path) -> Terms:
    """Return the terms that the study was made with, if the search asked for is the same one; else StudyChanged.

    A field that litune did not have when the study was made counts as being at its default.
    """
    if made.get("format") != FORMAT:
        raise LedgerDamaged(f"{directory}: the ledger is of format {made.get('format')!r}; this litune reads {FORMAT}")
    terms, lag = Terms(**made["terms"]), config.search.lag
    free = {"threads": config.search.threads is None, "algorithm": config.search.algorithm == "auto"}
    # whatever search.parallel makes of the same lag now; an older run has only what it made of it then
    free["lag"] = lag in (None, made.get("lag")) or terms.lag in (lag, asked["terms"]["lag"])
    wanted = {**asked["terms"], "lag": lag, **{name: made["terms"][name] for name, is_free in free.items() if is_free}}
    told = {"seed": None, "max_steps": None, "first_lag": None}  # by the fields that they are made of
    before = {"": made["config"], "search": {**_plain(terms), **told}, "space": made["space"]}
    after = {"": asked["config"], "search": {**wanted, **told}, "space": asked["space"]}
    cure = "take the change back, or give the new search another name="
    if problems := _changes(before, after, directory, cure):
        raise StudyChanged(problems)
    return terms


def edited(made: Mapping[str, Any], config: DictConfig, space: Space, directory: Path) -> list[Problem]:
    """Return where the config and space in a run's directory are not those that its ledger was made with."""
    if not made:  # a kill came before it was noted: there is no trial
        return []
    before = {"": made["config"], "space": made["space"]}
    after = {"": _identity(config), "space": dump(space)}
    problems = _changes(before, after, directory, "take the edit back")
    files = ["space.json" if problem.key.startswith("space.") else "config.yaml" for problem in problems]
    return [replace(problem, where=str(directory / file)) for problem, file in zip(problems, files, strict=True)]


def _changes(made: Mapping[str, Any], asked: Mapping[str, Any], directory: Path, cure: str) -> list[Problem]:
    before, after = _flat(made), _flat(asked)
    before = {**{key: value for key, value in _defaults().items() if key in after}, **before}
    changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return [
        Problem(where=str(directory), key=key, got=_text(after, key), expected=_text(before, key), cure=cure)
        for key in changed
    ]


def _identity(config: DictConfig) -> dict[str, Any]:
    stored = configs.stored(config)
    identity = {name: section for name, section in stored.items() if name not in _APART}
    if own := {name: stored["backend"][name] for name in OWN if stored["backend"].get(name) is not None}:
        identity["backend"] = own
    return identity


def _defaults() -> dict[str, Any]:
    """Return what the fields are by default, by their dotted keys."""
    return _flat({name: section for name, section in configs.stored(configs.schema()).items() if name not in _APART})


def _plain(terms: Terms) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(terms)))
    return plain


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
