"""search.algorithm=auto: the algorithm that suits a search, and why, in words for the log and the report."""

from __future__ import annotations

from omegaconf import DictConfig

from litune import steps
from litune.algorithms import legs
from litune.config.schema import DRAWING
from litune.space.space import Space

_FEWEST_STEPS = 4  # a curve with fewer reports tells too little to continue by
_MOST_FOR_GP = 250  # trials; beyond, a Gaussian process costs more than it gains


def of(config: DictConfig, space: Space) -> tuple[str, str]:
    """Return (algorithm, why) for a config; no reason where search.algorithm names one."""
    search = config.search
    if search.algorithm != "auto":
        return search.algorithm, ""
    if search.warm_start:
        return "tpe", "it learns from earlier runs"
    if search.pruner != "none":
        whole = f"search.pruner={search.pruner} stops whole trials"
    else:
        found = [f"{problem.key} is {problem.got}" for problem in legs.hindrances(config, space, "")]
        whole = f"trials cannot be continued where {found[0]}" if found else ""
    chosen, why = choose(space, trials=steps.trials_in_all(config), steps=steps.steps_of(config) or 0, whole=whole)
    if drawn_by_another(config):  # a grid still says how many
        return "grid" if chosen == "grid" else "tpe", ""
    return chosen, why


def drawn_by_another(config: DictConfig) -> bool:
    """Say whether the backend has its own tuner or searcher choose the params, not search.algorithm."""
    return any(config.backend.get(name) is not None for name in DRAWING)


def choose(space: Space, *, trials: int, steps: int, whole: str = "") -> tuple[str, str]:
    """Return (algorithm, why) for a budget of so many full trainings; `whole` says why none can go in legs."""
    size = space.grid_size()
    if size is not None and size <= trials:
        return "grid", f"the whole grid of {size} fits into the budget of {trials} trials"
    if steps >= _FEWEST_STEPS and not whole:
        return "thaw", f"a training reports {steps} times and can be continued from its checkpoint"
    reason = whole or f"a training reports only {steps} times"
    if whole.startswith("search.pruner"):
        return "tpe", f"{reason}, and what was stopped would mislead a Gaussian process"
    if trials <= _MOST_FOR_GP:
        return "gp", f"{reason}; there are at most {_MOST_FOR_GP} trials"
    return "tpe", f"{reason}; there are more than {_MOST_FOR_GP} trials"
