"""python benchmarks/warm_start.py: what search.warm_start gains and costs in regret.

The earlier run is 40 trials by random search or TPE on the same test function, or on one whose optimum lies elsewhere:
shifted by a tenth (a like task) or by four tenths (another task) of each range; its values are scaled and offset.
Printed is the regret of the warm search after 5, 10 and 25 trials as a share of the cold one's: the geometric mean over
test functions of the median over seeds. Nothing is trained; the suggestions are litune's own.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from statistics import geometric_mean, median
from typing import Any

from lag import SPACES

from litune.algorithms.suggest import Suggester
from litune.algorithms.warm_start import EarlierTrial, learn
from litune.objective import Objective
from litune.space.space import Space
from litune.table import TrialRow
from litune.trial import Outcome, TrialState

SEEDS = range(21)
TRIALS = (5, 10, 25)
EARLIER = 40
NAMES = {"tpe": ("branin", "rosenbrock-4", "training-like"), "gp": ("branin", "training-like"),
         "cmaes": ("branin", "rosenbrock-4")}  # fmt: skip


def shifted(space: Space, params: Mapping[str, Any], part: float) -> dict[str, Any]:
    """Return the params, each number moved by this part of its range."""
    moved = {}
    for name, value in params.items():
        latent = space.parameters[name].latent
        if latent.kind == "index":
            moved[name] = value
            continue
        low, high = (math.log(latent.low), math.log(latent.high)) if latent.log else (latent.low, latent.high)
        place = min(max((math.log(value) if latent.log else value) + part * (high - low), low), high)
        moved[name] = math.exp(place) if latent.log else place
    return moved


def values(
    algorithm: str, name: str, seed: int, count: int, *, earlier: Sequence[EarlierTrial] = (), part: float = 0.0
) -> list[tuple[dict[str, Any], float]]:
    function, space, _ = SPACES[name]
    suggester = Suggester(algorithm, space, seed=seed, lag=4, maximize=False, earlier=earlier)
    outcomes: list[Outcome] = []
    found = []
    for number in range(count):
        params = suggester.suggest(number, outcomes.__getitem__)
        value = function(shifted(space, params, part))
        outcomes.append(Outcome(state=TrialState.COMPLETE, score=value, history={1: value}))
        found.append((params, value))
    return found


def regrets(algorithm: str, name: str, seed: int, earlier: Sequence[EarlierTrial]) -> list[float]:
    found = [value for _, value in values(algorithm, name, seed, max(TRIALS), earlier=earlier)]
    return [min(found[:count]) - SPACES[name][2] for count in TRIALS]


def known(how: str, name: str, seed: int, part: float) -> Sequence[EarlierTrial]:
    rows = [
        TrialRow(number=number, state=TrialState.COMPLETE, params=params, seed=0, score=10 * value + 5)
        for number, (params, value) in enumerate(values(how, name, 1000 + seed, EARLIER, part=part))
    ]
    return learn("earlier", rows, Objective(metric="value", mode="min"), SPACES[name][1]).trials


def main(algorithm: str) -> None:
    names = NAMES[algorithm]
    cold = {name: [regrets(algorithm, name, seed, ()) for seed in SEEDS] for name in names}
    print(f"{algorithm}: regret as a share of the cold search's, {', '.join(names)}")
    print("earlier run".ljust(24), *(f"{count} trials".rjust(10) for count in TRIALS))
    for how in ("random", "tpe"):
        for part in (0.0, 0.1, 0.4):
            warm = {n: [regrets(algorithm, n, seed, known(how, n, seed, part)) for seed in SEEDS] for n in names}
            shares = [
                geometric_mean(median(run[at] for run in warm[n]) / median(run[at] for run in cold[n]) for n in names)
                for at in range(len(TRIALS))
            ]
            print(f"{how}, shifted by {part}".ljust(24), *(f"{share:10.2f}" for share in shares), flush=True)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or list(NAMES):
        main(chosen)
