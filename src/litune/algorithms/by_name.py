"""From the name of an algorithm (search.algorithm) to the plan that a Study runs its search by."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from litune.algorithms import asha
from litune.algorithms.plan import Decide, Legs, Plan, Rows, WholeTrials
from litune.algorithms.suggest import Suggester
from litune.algorithms.terms import Execution, Terms
from litune.algorithms.warm_start import EarlierTrial
from litune.space.distributions import completed
from litune.space.space import Space

_BRACKETS = 4  # of hyperband


def plan(
    terms: Terms, execution: Execution, space: Space, rows: Rows, *, maximize: bool, earlier: Sequence[EarlierTrial]
) -> Plan:
    """Return the plan of a search, continued from the trials in `rows`."""
    if terms.in_legs:
        queue = [completed(space, given, number, terms.seed) for number, given in enumerate(terms.enqueue)]
        return Legs(
            _decider(terms, space),
            rows,
            lag=terms.lag,
            first_lag=terms.first_lag,
            total=execution.steps,
            steps=terms.max_steps,
            maximize=maximize,
            queue=queue,
        )
    size = space.grid_size() if terms.algorithm == "grid" else None
    suggester = Suggester(
        terms.algorithm,
        space,
        seed=terms.seed,
        lag=terms.lag,
        maximize=maximize,
        enqueue=terms.enqueue,
        earlier=earlier,
    )
    total = min(execution.trials, size) if size else execution.trials
    return WholeTrials(suggester, rows, lag=terms.lag, total=total, steps=terms.max_steps)


def _decider(terms: Terms, space: Space) -> Decide:
    if terms.algorithm == "thaw":
        from litune.algorithms.thaw import Thaw  # which takes SciPy's optimizers a while to import

        return Thaw(space, seed=terms.seed, steps=terms.max_steps).decide
    brackets = _BRACKETS if terms.algorithm == "hyperband" else 1
    return functools.partial(asha.decide, space=space, seed=terms.seed, steps=terms.max_steps, brackets=brackets)
