"""A space in Optuna's words: what its samplers draw from, and what its plots and its dashboard show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from litune.seeds import stream
from litune.space.parameters import Categorical, Int, Latent
from litune.space.space import Space, name_of

optuna.logging.set_verbosity(optuna.logging.ERROR)


def distribution(latent: Latent) -> BaseDistribution:
    """Return what Optuna draws a latent from."""
    if latent.kind == "float":
        return FloatDistribution(latent.low, latent.high, log=latent.log)
    if latent.kind == "int":
        return IntDistribution(int(latent.low), int(latent.high))
    return CategoricalDistribution(range(latent.levels))


def optuna_params(space: Space, params: Mapping[str, Any]) -> dict[str, tuple[BaseDistribution, Any]]:
    """Return, for each param, a distribution that holds its value, as Optuna's own plots and dashboard want it."""
    held: dict[str, tuple[BaseDistribution, Any]] = {}
    for key in space.encode(params):
        parameter, value = space.parameters[key], params[name_of(key)]
        held_by: BaseDistribution
        if isinstance(parameter, Categorical):
            choices = [choice if _is_scalar(choice) else json.dumps(choice) for choice in parameter.choices]
            held_by, value = CategoricalDistribution(choices), choices[parameter.encode(value)]
        elif isinstance(parameter, Int):
            held_by = IntDistribution(parameter.low, parameter.high - 1)
        else:
            low, high = parameter.examples()
            held_by = FloatDistribution(low, high, log=parameter.log and low > 0)
        held[name_of(key)] = (held_by, value)
    return held


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def drawn(space: Space, trial: optuna.Trial) -> dict[str, Any]:
    """Return the params that Optuna's sampler draws for a trial."""

    def draw(key: str) -> Any:
        latent = space.parameters[key].latent
        if latent.kind == "float":
            return trial.suggest_float(key, latent.low, latent.high, log=latent.log)
        if latent.kind == "int":
            return trial.suggest_int(key, int(latent.low), int(latent.high))
        return trial.suggest_categorical(key, range(latent.levels))

    return space.draw(draw)


def completed(space: Space, given: Mapping[str, Any], number: int, seed: int) -> dict[str, Any]:
    """Return the params of trial `number`, random but for those given."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=stream(seed, number)))
    study.enqueue_trial(space.encode(given))
    return {**drawn(space, study.ask()), **given}
