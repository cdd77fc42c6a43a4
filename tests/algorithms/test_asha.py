import math

from litune.algorithms import asha
from litune.algorithms.decision import SeenTrial
from litune.space.distributions import completed
from litune.space.space import Space, loguniform, randint

SPACE = Space.of({"lr": loguniform(1e-4, 1.0), "depth": randint(1, 6)})
STEPS = 27


def learn(params, step):
    return -((math.log10(params["lr"]) + 2) ** 2) - 0.2 * abs(params["depth"] - 3) - 2.0 / step


def search(seed, budget, brackets=1):
    trials, made, spent = [], [], 0
    while spent < budget:
        decision = asha.decide(
            len(made), trials, space=SPACE, seed=seed, steps=STEPS, brackets=brackets, left=budget - spent
        )
        made.append(decision)
        if decision.trial is None:
            trials.append(SeenTrial(params=decision.params))
        trial = len(trials) - 1 if decision.trial is None else decision.trial
        spent += decision.until - trials[trial].reached
        params = trials[trial].params
        trials[trial] = SeenTrial(
            params=params, curve={step: learn(params, step) for step in range(1, decision.until + 1)}
        )
    return made, trials, spent


def test_good_trials_are_promoted_to_the_end_within_the_budget():
    made, trials, spent = search(0, 6 * STEPS)
    assert spent == 6 * STEPS
    assert search(0, 6 * STEPS)[0] == made
    full = [trial for trial in trials if trial.reached == STEPS]
    assert full
    assert max(trial.best() for trial in full) > sorted(trial.best() for trial in trials)[len(trials) // 2]


def test_each_trial_of_each_seed_has_params_of_its_own():
    rates = [trial.params["lr"] for seed in (0, 1) for trial in search(seed, 4 * STEPS)[1]]
    assert len(set(rates)) == len(rates)


def test_new_params_come_from_where_the_good_ones_of_a_rung_were():
    params = [completed(SPACE, {}, number, 0) for number in range(30)]
    trials = [SeenTrial(params=one, curve={1: learn(one, 1)}) for one in params]
    fresh = [asha.fresh(number, trials, space=SPACE, seed=0, ladder=[1, 3]) for number in range(10)]
    assert sum(learn(one, 1) for one in fresh) / 10 > sum(learn(one, 1) for one in params) / 30


def test_params_whose_value_is_no_number_count_as_failed():
    params = [completed(SPACE, {}, number, 0) for number in range(30)]
    good = [SeenTrial(params=one, curve={1: learn(one, 1)}) for one in params]
    bad = [SeenTrial(params=one, curve={1: math.nan} if one["depth"] > 2 else {1: learn(one, 1)}) for one in params]
    failed = [SeenTrial(params=one.params, curve=one.curve, over=one.diverged) for one in bad]
    fresh = [asha.fresh(50, trials, space=SPACE, seed=0, ladder=[1, 3]) for trials in (good, bad, failed)]
    assert fresh[0] != fresh[1] == fresh[2]


def test_params_on_their_way_are_known_to_what_chooses_new_ones():
    params = [completed(SPACE, {}, number, 0) for number in range(20)]
    seen = [SeenTrial(params=one, curve={1: learn(one, 1)}) for one in params]
    alone = [asha.fresh(number, seen, space=SPACE, seed=0, ladder=[1, 3]) for number in range(5)]
    out = [SeenTrial(params=one, until=1) for one in alone]
    assert alone != [asha.fresh(number, seen + out, space=SPACE, seed=0, ladder=[1, 3]) for number in range(5)]


def test_no_leg_goes_beyond_what_is_left():
    for budget in (20, 31, 43):
        assert search(0, budget)[2] == budget


def test_hyperband_starts_some_trials_higher():
    made, _, _ = search(0, 8 * STEPS, brackets=3)
    starts = [decision.until for decision in made if decision.trial is None]
    assert set(starts) >= {1, 3, 9}
    assert starts.count(1) > starts.count(9)
    assert starts == [[1, 3, 9][asha.bracket_of(trial, 3)] for trial in range(len(starts))]
