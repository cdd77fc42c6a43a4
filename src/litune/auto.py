"""What `auto` stands for: the algorithm, and why, in words for the log and the report."""

from __future__ import annotations

from litune.space import Space

_FEWEST_STEPS = 4  # a curve with fewer reports tells too little to continue by
_MOST_FOR_GP = 250  # trials; beyond, a Gaussian process costs more than it gains


def choose(space: Space, *, trials: int, steps: int, checkpoints: bool) -> tuple[str, str]:
    """Return (algorithm, why) for a budget of `trials` full trainings of `steps` reports each."""
    size = space.grid_size()
    if size is not None and size <= trials:
        return "grid", f"the whole grid of {size} fits into the budget of {trials} trials"
    if steps >= _FEWEST_STEPS and checkpoints:
        return "thaw", f"a training reports {steps} times and can be continued from its checkpoint"
    reason = "a training can not be continued" if not checkpoints else f"a training reports only {steps} times"
    numeric = not any(parameter.latent.kind == "index" for parameter in space.parameters.values())
    if numeric and trials <= _MOST_FOR_GP:
        return "gp", f"{reason}; all params are numbers and there are at most {_MOST_FOR_GP} trials"
    but = f"there are more than {_MOST_FOR_GP} trials" if numeric else "not all params are numbers"
    return "tpe", f"{reason}; {but}"
