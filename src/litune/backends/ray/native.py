"""Searchers and schedulers of Ray's own, by name or `_target_`, on our space.

A searcher of Ray's draws latents (space.py): each is a plain range or an index, so any of them can draw every type of
the space, rounding, normals and nested choices included, and the value is decoded here as for every other backend.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from ray import tune
from ray.tune.schedulers import HyperBandScheduler, PopulationBasedTraining
from ray.tune.search import SEARCH_ALG_IMPORT, Searcher

from litune.backends import View
from litune.backends.ray import population
from litune.backends.ray.trainable import OBJECTIVE, STEP
from litune.config.assigning import format_value
from litune.errors import InputError, Problem, nearest
from litune.space.space import Space
from litune.steps import steps_of
from litune.study.study import Study
from litune.targets.signatures import signature
from litune.trial import Job, Outcome, TrialState

NATIVE = "native"  # as a searcher: Ray's default among its own, Optuna
SEARCHERS = tuple(sorted({*SEARCH_ALG_IMPORT} - {"random", "variant_generator"}))  # those two are not Searchers
SCHEDULERS = {
    "fifo": "ray.tune.schedulers.FIFOScheduler",
    "asha": "ray.tune.schedulers.AsyncHyperBandScheduler",
    "hyperband": "ray.tune.schedulers.HyperBandScheduler",
    "median": "ray.tune.schedulers.MedianStoppingRule",
    "pbt": "ray.tune.schedulers.PopulationBasedTraining",
    "pb2": "ray.tune.schedulers.pb2.PB2",
}
_PACKAGES = {"ax": "ax-platform", "bayesopt": "bayesian-optimization", "bohb": "hpbandster ConfigSpace", "hebo": "HEBO"}


def searcher(config: DictConfig, space: Space) -> Any:
    """Return the searcher of Ray's that the config names, on our space; None where the study itself suggests."""
    name, arguments = _named(config.backend.searcher)
    if name is None:
        return None
    key = "backend.searcher"
    name = "optuna" if name == NATIVE else name
    if "." in name:
        kind = _located(name, key, config)
    elif name in SEARCHERS:
        kind = SEARCH_ALG_IMPORT[name]()
    else:
        cure = "for that, set search.algorithm=random" if name in SEARCH_ALG_IMPORT else ""
        raise InputError(_unknown(key, name, [NATIVE, *SEARCHERS], cure))
    if not (inspect.isclass(kind) and issubclass(kind, Searcher)):
        raise InputError(Problem(key=key, got=name, expected="a subclass of ray.tune.search.Searcher"))
    built = _built(kind, key, name, {}, arguments)
    try:
        taken = built.set_search_properties(OBJECTIVE, config.objective.mode, domains(space))
    except Exception as error:  # whatever the searcher says of a space that it cannot search
        raise InputError(_unfit(key, name, str(error))) from error
    if not taken:
        raise InputError(_unfit(key, name, "it has a space, metric or mode of its own already"))
    return built


def scheduler(config: DictConfig, space: Space) -> Any:
    """Return the scheduler of Ray's that the config names, for our objective; None for none."""
    name, given = _named(config.backend.scheduler)
    if name is None:
        return None
    key, target = "backend.scheduler", SCHEDULERS.get(name, name)
    if "." not in target:
        raise InputError(_unknown(key, name, list(SCHEDULERS), ""))
    kind = _located(target, key, config)
    if not (inspect.isclass(kind) and issubclass(kind, tune.schedulers.TrialScheduler)):
        raise InputError(Problem(key=key, got=name, expected="a subclass of ray.tune.schedulers.TrialScheduler"))
    defaults: dict[str, Any] = {"time_attr": STEP, "metric": OBJECTIVE, "mode": config.objective.mode}
    if steps := steps_of(config):
        defaults["max_t"] = max(2, steps + 1)  # at max_t Ray stops a trial: ours are complete at their last step
    elif "max_t" in inspect.signature(kind).parameters and "max_t" not in given:
        expected = "max_t with it, as only the training itself can tell how many validations it has"
        raise InputError(Problem(key=key, got=name, expected=expected, cure=f"{key}={{name: {name}, max_t: NUMBER}}"))
    if issubclass(kind, PopulationBasedTraining):
        defaults["perturbation_interval"] = 1
        defaults |= population.mutations(kind, config, space)
        kind = type(kind.__name__, (population.Population, kind), {})
    accepted = inspect.signature(kind).parameters
    ours = {name: value for name, value in defaults.items() if name in accepted and name not in given}
    return _built(kind, key, name, ours, given)


def legs(scheduler: Any) -> int:
    """Return after how many validations a trial must be able to be continued, for this scheduler; 0: never."""
    if isinstance(scheduler, PopulationBasedTraining):
        return int(scheduler._perturbation_interval)
    return 1 if isinstance(scheduler, HyperBandScheduler) else 0


def domains(space: Space) -> dict[str, Any]:
    """Return what Ray draws each parameter's latent from."""
    drawn: dict[str, Any] = {}
    for key, parameter in space.parameters.items():
        latent, key = parameter.latent, flat(key)
        if latent.kind == "float":
            drawn[key] = (tune.loguniform if latent.log else tune.uniform)(latent.low, latent.high)
        elif latent.kind == "int":
            drawn[key] = tune.randint(int(latent.low), int(latent.high) + 1)
        else:
            drawn[key] = tune.choice(list(range(latent.levels)))
    return drawn


def flat(key: str) -> str:
    """Return the key without `/`, which Ray's searchers take for a step into a section (as JSON pointers escape it)."""
    return key.replace("~", "~0").replace("/", "~1")


def _idle(space: Space) -> dict[str, Any]:
    """Return latents for the parameters that a trial's choices leave out: Ray's searchers know no conditions."""
    low = {key: parameter.latent.low for key, parameter in space.parameters.items()}
    return {key: value if space.parameters[key].latent.kind == "float" else int(value) for key, value in low.items()}


class Suggest:
    """Suggests by a searcher of Ray's, in place of the study's own algorithm."""

    def __init__(self, searcher: Any, study: Study, view: View) -> None:
        self._searcher, self._study = searcher, study
        self._asked: set[str] = set()  # Ray's ids of the running trials whose params are the searcher's
        ended = [row for row in study.rows.values() if row.ended]
        try:
            for row in ended:
                if row.score is not None:
                    latents = _idle(study.space) | study.space.encode(row.params)
                    latents = {flat(key): value for key, value in latents.items()}
                    searcher.add_evaluated_point(latents, row.score, pruned=row.state is TrialState.PRUNED)
        except (NotImplementedError, AttributeError, TypeError, ValueError):
            name = type(searcher).__name__
            view.say(f"{name} cannot be told of the {len(ended)} trials that have ended; it starts anew")

    def __call__(self, trial_id: str) -> Job | None:
        """Return the next job; None if none may start now. Interrupted trials come first, with the params they had."""
        study = self._study
        for number, row in study.rows.items():
            if not row.ended and number not in study.running:
                return study.again(row.params)
        if len(study.rows) >= study.plan.total or not study.may_start:
            return None
        latents = self._searcher.suggest(trial_id)
        if latents == Searcher.FINISHED:
            study.stopped = f"{type(self._searcher).__name__} has nothing more to suggest"
            return None
        if latents is None:
            return None
        self._asked.add(trial_id)
        return study.adopt(study.space.draw(lambda key: latents[flat(key)]))

    def reported(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Tell the searcher what a running trial reported."""
        if trial_id in self._asked:
            self._searcher.on_trial_result(trial_id, dict(result))

    def ended(self, trial_id: str, outcome: Outcome) -> None:
        """Tell the searcher how a trial ended; one that failed has no score."""
        if trial_id not in self._asked:
            return
        self._asked.remove(trial_id)
        if outcome.score is None:
            self._searcher.on_trial_complete(trial_id, result=None, error=True)
        else:
            step = max(outcome.history)
            result = {OBJECTIVE: outcome.score, STEP: step, "training_iteration": step}
            self._searcher.on_trial_complete(trial_id, result=result)


def _named(setting: Any) -> tuple[str | None, dict[str, Any]]:
    """Return name and arguments of `NAME`, `{name: NAME, ...}` or `{_target_: PATH, ...}`."""
    if not isinstance(setting, DictConfig):
        return setting, {}
    values = OmegaConf.to_container(setting, resolve=True)
    assert isinstance(values, dict)
    name = values.pop("_target_", None) or values.pop("name", None)
    return str(name or ""), {str(key): value for key, value in values.items()}


def _located(path: str, key: str, config: DictConfig) -> Any:
    module, _, name = path.rpartition(".")
    if path.split(".")[0] not in ("ray", *config.allow):
        cure = f"if you trust it, add it to the config: allow: [{path.split('.')[0]}]"
        raise InputError(Problem(key=key, got=path, expected="a class of ray.tune", cure=cure))
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        expected = "a class that can be imported"
        raise InputError(Problem(key=key, got=path, expected=expected, cure=str(error))) from error


def _built(kind: type, key: str, name: str, ours: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Return one of the kind, made with our arguments and those that are given."""
    if problems := list(_misfits(kind, key, name, given)):
        raise InputError(problems)
    named = ", ".join(f"{argument}={format_value(value)}" for argument, value in given.items())
    full = f"{name} with {named}" if named else name
    try:
        return kind(**ours, **given)
    except (ImportError, AssertionError) as error:
        package = _PACKAGES.get(name, name)
        if "install" in str(error).lower() or isinstance(error, ImportError):
            cure = f"install it with: pip install {package}"
            raise InputError(Problem(key=key, got=f"{name}, which lacks a package", cure=cure)) from error
        raise InputError(_unfit(key, full, str(error))) from error
    except (TypeError, ValueError, RuntimeError, tune.TuneError) as error:
        raise InputError(_unfit(key, full, str(error))) from error


def _misfits(kind: type, key: str, name: str, given: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the given arguments that the kind does not have, and what is given for a number and is none."""
    accepted = signature(kind)
    for argument, value in given.items():
        full, known = f"{key}.{argument}", accepted.arguments.get(argument)
        if known is None and not accepted.open:
            near = nearest(argument, accepted.arguments)
            expected = f"an argument of {name}: {', '.join(accepted.arguments)}" if accepted.arguments else "nothing"
            yield Problem(key=full, got="an unknown argument", expected=expected, nearest=near and f"{key}.{near}")
        elif known and known.annotation in (int, float) and not isinstance(value, (int, float)):
            yield Problem(key=full, got=format_value(value), expected="a number")


def _unfit(key: str, got: str, said: str) -> Problem:
    return Problem(key=key, got=got, expected="one that fits this search", cure=said.splitlines()[0] if said else "")


def _unknown(key: str, name: str, known: list[str], cure: str) -> Problem:
    expected = f"null, one of {', '.join(known)}, or {{_target_: ray.tune..., its arguments}}"
    got = repr(name) if name else "no name"
    return Problem(key=key, got=got, expected=expected, nearest=nearest(name, known), cure=cure)
