"""Which params pbt and pb2 may change while a trial trains, and how a changed value stays in the space."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from omegaconf import DictConfig
from ray import tune

from litune.errors import InputError, Problem
from litune.space.parameters import Categorical, Int, Parameter
from litune.space.space import Space


class Population:
    """Mixed with a scheduler of Ray's: trials whose params change, from a searcher.

    Ray refuses searchers there, as they would learn from params that a trial no longer has. Ours are told of neither.
    """

    def on_trial_add(self, _tune_controller: Any, trial: Any) -> None:
        """Take a trial in, from whatever suggested it."""
        super().on_trial_add(SimpleNamespace(search_alg=None), trial)  # type: ignore[misc]  # of the scheduler


_SECTIONS = ("optimizer.", "lr_scheduler.", "data.", "criterion.")  # a model's shape must stay that of its checkpoint


def mutations(kind: type, config: DictConfig, space: Space) -> dict[str, Any]:
    """Return the arguments that give a population its mutations: those of `backend.mutate`, else the safe sections'."""
    if space.conditional:
        expected = "a space without nested choices, whose params a population could not change one by one"
        cure = "asha, median and hyperband take every space"
        raise InputError(Problem(key="backend.scheduler", got=kind.__name__, expected=expected, cure=cure))
    from ray.tune.schedulers.pb2 import PB2  # imports scikit-learn, for a second

    names = config.backend.mutate
    chosen = list(names) if names is not None else [name for name in space.parameters if name.startswith(_SECTIONS)]
    if unknown := sorted(set(chosen) - set(space.parameters)):
        expected = f"params of the space: {', '.join(space.parameters)}"
        raise InputError(Problem(key="backend.mutate", got=", ".join(unknown), expected=expected))
    if not chosen:
        expected = f"a param to change: backend.mutate=[NAME, ...]; without it those of {' '.join(_SECTIONS)}"
        raise InputError(Problem(key="backend.scheduler", got=kind.__name__, expected=expected))
    if issubclass(kind, PB2):
        return {"hyperparam_bounds": {name: _bounds(name, space.parameters[name]) for name in chosen}}
    drawn = {name: _drawn(space.parameters[name]) for name in chosen}
    explore = _inside({name: space.parameters[name] for name in chosen})
    return {"hyperparam_mutations": drawn, "custom_explore_fn": explore}


def _bounds(name: str, parameter: Parameter) -> list[float]:
    if isinstance(parameter, (Categorical, Int)) or getattr(parameter, "q", None) is not None:
        expected = "continuous params: pb2 changes nothing else; name them by backend.mutate"
        raise InputError(Problem(key="backend.scheduler", got=f"pb2 with {name}", expected=expected))
    low, high = parameter.examples()
    return [low, high]


def _drawn(parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical):
        return list(parameter.choices)
    if isinstance(parameter, Int):
        return tune.randint(parameter.low, parameter.high)
    latent = parameter.latent
    draw = (tune.loguniform if latent.log else tune.uniform)(latent.low, latent.high)

    def value() -> Any:
        return parameter.decode(draw.sample())

    return value


def _inside(parameters: dict[str, Parameter]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def explore(config: dict[str, Any]) -> dict[str, Any]:
        return config | {name: inside(parameter, config[name]) for name, parameter in parameters.items()}

    return explore


def inside(parameter: Parameter, value: Any) -> Any:
    """Return the parameter's value that is nearest to what a factor has made of another."""
    if isinstance(parameter, Categorical):
        return value
    low, high = parameter.examples()
    clipped = min(max(value, low), high)
    return parameter.decode(parameter.encode(clipped))
