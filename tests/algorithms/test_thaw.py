import math

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from litune.algorithms import curves
from litune.algorithms.curves import Points
from litune.algorithms.decision import SeenTrial
from litune.algorithms.features import Features
from litune.algorithms.promotion import promote, rungs, scores_at_depth
from litune.algorithms.thaw import Thaw
from litune.space.distributions import completed
from litune.space.space import Space, choice, loguniform, qnormal, randint, uniform

STEPS = 27
SPACE = Space.of({"lr": loguniform(1e-4, 1.0), "depth": randint(1, 6), "act": choice("relu", "tanh", "gelu")})


def learn(params, step):
    """A training whose best is lr 0.01, depth 3, gelu."""
    plateau = -((math.log10(params["lr"]) + 2) ** 2) - 0.2 * abs(params["depth"] - 3) - 0.3 * (params["act"] != "gelu")
    return plateau - 2.0 / step


def search(thaw, budget, learn=learn, workers=1):
    """Spend a budget of epochs; with several workers a leg's results show `workers` decisions later."""
    trials, flying, made, spent = [], [], [], 0
    while spent < budget:
        decision = thaw.decide(len(made), trials, budget - spent)
        if decision is None and not flying:
            break
        if decision is not None:
            made.append(decision)
            spent += begin(decision, trials, flying)
        if len(flying) == workers or decision is None:
            end(trials, flying.pop(0), learn)
    return made, trials


def begin(decision, trials, flying):
    assert decision.trial not in flying
    if decision.trial is None:
        trials.append(SeenTrial(params=dict(reversed(decision.params.items()))))  # a ledger keeps them in no order
    trial = len(trials) - 1 if decision.trial is None else decision.trial
    seen = trials[trial]
    trials[trial] = SeenTrial(params=seen.params, curve=seen.curve, until=decision.until)
    flying.append(trial)
    return decision.until - seen.reached


def end(trials, trial, learn):
    seen = trials[trial]
    curve = {step: learn(seen.params, step) for step in range(1, seen.until + 1)}
    trials[trial] = SeenTrial(params=seen.params, curve=curve)


def test_a_search_finds_the_best_region_with_a_few_trainings():
    best = []
    for seed in range(3):
        _, trials = search(Thaw(SPACE, seed=seed, steps=STEPS), 6 * STEPS)
        best.append(max(trial.best() for trial in trials))
    assert min(best) > -0.5, best


def test_the_same_seed_and_trials_give_the_same_decision_whoever_asks():
    made, trials = search(Thaw(SPACE, seed=3, steps=STEPS), 4 * STEPS)
    again, _ = search(Thaw(SPACE, seed=3, steps=STEPS), 4 * STEPS)
    assert made == again
    fresh = Thaw(SPACE, seed=3, steps=STEPS).decide(len(made), trials)
    assert fresh == Thaw(SPACE, seed=3, steps=STEPS).decide(len(made), trials)
    assert fresh.until >= 1
    other, _ = search(Thaw(SPACE, seed=4, steps=STEPS), 4 * STEPS)
    assert other != made


def test_it_continues_good_trials_and_leaves_bad_ones():
    made, trials = search(Thaw(SPACE, seed=0, steps=STEPS), 6 * STEPS)
    far = [trial for trial in trials if trial.reached >= STEPS // 2]
    short = [trial for trial in trials if trial.reached <= 2]
    assert {decision.why for decision in made} == {"design", "screening", "model", "promotion"}
    assert far
    assert short
    assert np.median([learn(trial.params, STEPS) for trial in far]) > np.median(
        [learn(trial.params, STEPS) for trial in short]
    )


def test_no_params_are_tried_twice_even_in_a_small_space():
    space = Space.of({"depth": randint(0, 4), "act": choice("a", "b", "c")})
    _, trials = search(Thaw(space, seed=0, steps=4), 99, learn=lambda params, step: params["depth"] + step / 10)
    params = [tuple(trial.params.items()) for trial in trials]
    assert len(set(params)) == len(params) == 12
    assert all(trial.reached == 4 for trial in trials), "with budget left, what is left to continue is continued"


def test_params_that_differ_by_a_last_bit_are_not_tried_beside_each_other():
    thaw = Thaw(Space.of({"lr": loguniform(1e-4, 1.0)}), seed=2, steps=9)
    _, trials = search(thaw, 150, learn=lambda params, step: -min(abs(params["lr"] - 0.05), 0.04) - 1 / step)
    assert len({f"{trial.params['lr']:.9g}" for trial in trials}) == len(trials)


def test_a_space_of_many_params_is_used_up_like_a_small_one():
    space = Space.of({"x": randint(0, 1200)})
    points = [space.grid(place) for place in range(1200)]
    trials = [SeenTrial(params=params, curve={1: 0.001 * params["x"]} if params["x"] < 3 else {}) for params in points]
    decisions = [Thaw(space, seed=7, steps=5).decide(number, trials[:-1]) for number in range(12)]
    started = [decision.params for decision in decisions if decision.trial is None]
    assert started == [points[-1]] * len(started)
    assert started
    assert {Thaw(space, seed=7, steps=5).decide(number, trials).trial for number in range(12)} <= {0, 1, 2}
    over = [SeenTrial(params=trial.params, curve=trial.curve, over=True) for trial in trials]
    assert Thaw(space, seed=7, steps=5).decide(0, over) is None


def test_a_space_of_few_params_whose_number_is_not_known_is_used_up_too():
    space = Space.of({"x": qnormal(2, 0.5, 1)})
    trials = []
    while (decision := Thaw(space, seed=1, steps=1).decide(len(trials), trials)) is not None:
        trials.append(SeenTrial(params=decision.params, curve={1: decision.params["x"]}))
    assert {1, 2, 3} <= {trial.params["x"] for trial in trials}
    assert len({trial.params["x"] for trial in trials}) == len(trials)


def test_in_a_wide_space_new_trials_come_mostly_from_the_region_that_is_good():
    space = Space.of({name: loguniform(1e-8, 1.0) for name in ("lr", "l1", "l2", "x", "y", "z")})

    def off(params):
        lr, l1, l2 = (math.log10(params[name]) for name in ("lr", "l1", "l2"))
        return max(0.0, abs(lr + 4) - 1) + max(0.0, l1 + 4) + max(0.0, l2 + 4)

    good = []
    for seed in range(3):
        made, _ = search(
            Thaw(space, seed=seed, steps=STEPS),
            4 * STEPS,
            learn=lambda params, step: -min(off(params), 3.0) * step / (step + 1) - 1 / step,
        )
        screened = [decision.params for decision in made if decision.why == "screening"]
        good.append(np.mean([off(params) < 0.5 for params in screened[len(screened) // 2 :]]))
    assert np.mean(good) > 0.75, good


def test_nothing_is_screened_while_less_than_a_training_is_left():
    made, _ = search(Thaw(SPACE, seed=0, steps=STEPS), 4 * STEPS)
    reached, left, late = {}, 4 * STEPS, []
    for decision in made:
        late += [decision.why] if left < STEPS else []
        trial = len(reached) if decision.trial is None else decision.trial
        left -= decision.until - reached.get(trial, 0)
        reached[trial] = decision.until
    assert late
    assert "screening" not in late


def test_trials_in_flight_are_not_continued_and_new_trials_keep_clear_of_them():
    made, trials = search(Thaw(SPACE, seed=1, steps=STEPS), 6 * STEPS, workers=8)
    assert len({tuple(trial.params.items()) for trial in trials}) == len(trials)
    started = [decision for decision in made if decision.trial is not None]
    assert started


def test_diverged_and_failed_trials_are_left_alone_and_the_search_goes_on():
    def learn_or_break(params, step):
        return math.nan if params["lr"] > 0.1 else learn(params, step)

    _, trials = search(Thaw(SPACE, seed=0, steps=STEPS), 5 * STEPS, learn=learn_or_break)
    broken = [trial for trial in trials if trial.params["lr"] > 0.1]
    assert broken
    assert all(trial.reached == 1 for trial in broken)
    assert max(trial.best() for trial in trials) > -1.5

    trials = [SeenTrial(params=completed(SPACE, {}, n, 0), curve={1: float(n)}, over=True) for n in range(6)]
    for number in range(20):
        assert Thaw(SPACE, seed=0, steps=STEPS).decide(number, trials).trial is None


@pytest.mark.parametrize("value", [math.nan, 1.0, math.inf, -math.inf])
def test_with_all_curves_broken_or_equal_the_budget_is_spent_and_none_that_is_broken_goes_on(value):
    _, trials = search(Thaw(SPACE, seed=0, steps=5), 40, learn=lambda params, step: value)
    assert sum(trial.reached for trial in trials) == 40
    assert (max(trial.reached for trial in trials) > 1) == math.isfinite(value)


def test_the_middle_of_the_space_comes_first():
    made, _ = search(Thaw(SPACE, seed=0, steps=STEPS), 1)
    assert made[0].params == {"lr": pytest.approx(0.01), "depth": 3, "act": "tanh"}


@pytest.mark.parametrize("seed", range(4))
def test_the_first_trials_fill_the_space_evenly(seed):
    made, _ = search(Thaw(Space.of({"x": uniform(0, 1)}), seed=seed, steps=STEPS), 8, learn=lambda params, step: step)
    assert {decision.why for decision in made} == {"design"}
    assert {int(4 * decision.params["x"]) for decision in made} == {0, 1, 2, 3}


def test_new_trials_come_from_the_candidates_while_there_are_any():
    candidates = [{"lr": lr, "depth": 3, "act": "gelu"} for lr in np.logspace(-4, 0, 60)]
    _, trials = search(Thaw(SPACE, seed=0, steps=STEPS, candidates=candidates), 4 * STEPS)
    assert all(trial.params in candidates for trial in trials)


def test_a_leg_never_goes_past_the_training_or_the_budget():
    made, trials = search(Thaw(SPACE, seed=0, steps=STEPS), 3 * STEPS)
    assert max(decision.until for decision in made) <= STEPS
    assert sum(trial.reached for trial in trials) == 3 * STEPS


def test_nested_choices_have_features_only_where_they_are_active():
    space = Space(
        parameters={"opt._name": choice("sgd", "adam"), "opt[sgd].momentum": uniform(0, 1), "x": uniform(0, 1)},
        conditions={"opt[sgd].momentum": ("opt._name", "sgd")},
    )
    features = Features(space)
    adam = features.from_units(np.array([[0.9, 0.1, 0.3], [0.9, 0.8, 0.3]]))
    sgd = features.from_units(np.array([[0.1, 0.1, 0.3], [0.1, 0.8, 0.3]]))
    assert (adam[0] == adam[1]).all()
    assert (sgd[0] != sgd[1]).any()
    params = features.params(np.array([0.1, 0.8, 0.3]))
    assert features.of(params) == pytest.approx(sgd[1])
    score = {"sgd": lambda params: params["opt.momentum"], "adam": lambda params: 0.5}
    _, trials = search(
        Thaw(space, seed=0, steps=9), 90, learn=lambda params, step: score[params["opt._name"]](params) - 1 / step
    )
    assert max(trial.best() for trial in trials) > 0.6


def test_rungs_are_thirds_down_to_one_and_promotion_takes_the_best_third():
    ladder = rungs(27)
    assert ladder == [1, 3, 9, 27]
    assert [rungs(steps) for steps in (1, 5, 100)] == [[1], [1, 2, 5], [1, 4, 11, 33, 100]]
    trials = [SeenTrial(params={}, curve={1: float(value)}) for value in (1, 5, 3, 4, 2, 0)]
    assert promote(trials, ladder) == (1, 3)
    trials[1] = SeenTrial(params={}, curve={1: 5.0}, until=3)
    assert promote(trials, ladder) == (3, 3)
    assert promote(trials[:2], ladder) is None
    assert promote(trials[:5], ladder) is None  # a third of five is one, which is on its way
    failed = SeenTrial(params={}, over=True)
    assert promote([trials[0], trials[2], failed], ladder) == (1, 3)  # it counts among the others
    assert promote([trials[0], trials[0], failed], ladder) == (0, 3)  # of equals the first


def test_promotion_ranks_by_what_was_reached_at_the_rung_and_takes_the_deepest_one_first():
    later = SeenTrial(params={}, curve={1: 0.0, 2: 9.0})
    first = SeenTrial(params={}, curve={1: 1.0})
    assert promote([later, first, SeenTrial(params={}, curve={1: -1.0})], [1, 3, 9]) == (1, 3)
    deep = [SeenTrial(params={}, curve={1: float(value), 3: float(value)}) for value in (0, 1, 2)]
    assert promote([*[SeenTrial(params={}, curve={1: 5.0})] * 3, *deep], [1, 3, 9]) == (5, 9)
    assert promote([SeenTrial(params={}, curve={1: math.nan, 2: 1.0})] * 3, [1, 3, 9]) is None
    trials = [
        SeenTrial(params={}, curve={1: 1.0, 2: 2.0}),
        SeenTrial(params={}, curve={1: 1.0, 3: 3.0}),
        SeenTrial(params={}, until=1),
    ]
    assert scores_at_depth(trials, [1, 3], 2) == [1.0, 1.0, None]
    assert scores_at_depth(trials, [1, 3], 1) == [None, 3.0, None]
    assert scores_at_depth(trials, [1, 3], 3) == [2.0, 3.0, None]


def test_the_process_learns_a_curve_and_is_less_sure_away_from_it():
    tau = np.linspace(0.1, 0.6, 12)
    at = Points(x=np.full((12, 1), 0.5), tau=tau, trial=np.zeros(12, dtype=np.int64))
    theta = curves.fit(at, 2 * tau)
    ahead = Points(x=np.array([[0.5], [0.5], [0.0]]), tau=np.array([0.65, 1.0, 0.65]), trial=np.array([0, 0, -1]))
    mean, deviation = curves.predict(theta, at, 2 * tau, ahead)
    assert mean[0] == pytest.approx(1.3, abs=0.1)
    assert deviation[0] < deviation[1]
    assert deviation[0] < deviation[2]
    same, narrowed = curves.predict(theta, at, 2 * tau, ahead, pending=ahead.rows(np.array([2])))
    assert same == pytest.approx(mean)
    assert narrowed[2] < deviation[2]


def test_the_prediction_is_the_process_its_docstring_tells():
    """With every hyperparameter at 1, at the start of the curve, and of one value, 1, with noise 1."""
    at = Points(x=np.zeros((1, 1)), tau=np.zeros(1), trial=np.zeros(1, dtype=np.int64))
    queries = Points(x=np.array([[0.0], [0.0], [1.0]]), tau=np.zeros(3), trial=np.array([0, -1, -1]))
    mean, deviation = curves.predict(np.zeros(8), at, np.ones(1), queries)
    matern = (1 + math.sqrt(5) + 5 / 3) * math.exp(-math.sqrt(5))
    reach = np.array([4, 2, 2 * matern])  # level + shape, and own + drift for the same trial
    assert mean == pytest.approx(reach / 5, abs=1e-5)
    assert deviation == pytest.approx(np.sqrt(4 - reach**2 / 5), abs=1e-5)


def test_the_gradient_that_a_fit_follows_is_that_of_what_it_minimises():
    rng = np.random.default_rng(0)
    trial = np.repeat(np.arange(4), 3)
    at = Points(x=rng.random((4, 2))[trial], tau=np.tile([0.2, 0.5, 0.9], 4), trial=trial)
    centre, spread = curves._prior(2)
    arguments = (at, rng.standard_normal(12), centre, spread)
    theta = centre + 0.3 * rng.standard_normal(9)
    _, slope = curves._objective(theta, *arguments)
    ahead, behind = (
        np.array([curves._objective(theta + sign * 1e-5 * one, *arguments)[0] for one in np.eye(9)]) for sign in (1, -1)
    )
    assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-4)


def test_a_decision_takes_one_thread_and_gives_the_others_back(monkeypatch):
    """On busy cores several wait for one another for longer than they compute."""
    numpys = ThreadpoolController().select(user_api="blas")
    meanwhile = []

    def fit(*arguments, **options):
        meanwhile.extend(library["num_threads"] for library in numpys.info())
        return kept(*arguments, **options)

    kept = curves.fit
    monkeypatch.setattr(curves, "fit", fit)
    with numpys.limit(limits=3):
        search(Thaw(SPACE, seed=1, steps=STEPS), STEPS)
        assert {library["num_threads"] for library in numpys.info()} == {3}
    assert set(meanwhile) == {1}
