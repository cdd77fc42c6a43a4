import math

from litune.algorithms import asha
from litune.algorithms.decision import Run
from litune.space.space import Space, loguniform, randint

SPACE = Space.of({"lr": loguniform(1e-4, 1.0), "depth": randint(1, 6)})
STEPS = 27


def learn(params, step):
    return -((math.log10(params["lr"]) + 2) ** 2) - 0.2 * abs(params["depth"] - 3) - 2.0 / step


def search(seed, budget, brackets=1):
    runs, made, spent = [], [], 0
    while spent < budget:
        decision = asha.decide(
            len(made), runs, space=SPACE, seed=seed, steps=STEPS, brackets=brackets, left=budget - spent
        )
        made.append(decision)
        if decision.trial is None:
            runs.append(Run(params=decision.params))
        trial = len(runs) - 1 if decision.trial is None else decision.trial
        spent += decision.until - runs[trial].reached
        params = runs[trial].params
        runs[trial] = Run(params=params, curve={step: learn(params, step) for step in range(1, decision.until + 1)})
    return made, runs, spent


def test_good_trials_are_promoted_to_the_end_within_the_budget():
    made, runs, spent = search(0, 6 * STEPS)
    assert spent == 6 * STEPS
    assert search(0, 6 * STEPS)[0] == made
    full = [run for run in runs if run.reached == STEPS]
    assert full
    assert max(run.best() for run in full) > sorted(run.best() for run in runs)[len(runs) // 2]


def test_hyperband_starts_some_trials_higher():
    made, _, _ = search(0, 8 * STEPS, brackets=3)
    starts = [decision.until for decision in made if decision.trial is None]
    assert set(starts) >= {1, 3, 9}
    assert starts.count(1) > starts.count(9)
