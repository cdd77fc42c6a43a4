import random

import pytest

from litune.algorithms.suggest import Suggester
from litune.space.distributions import completed
from litune.space.space import Space, choice, loguniform, randint, uniform
from litune.space.space_file import parse
from litune.trial import Outcome, TrialState

SPACE = Space.of({"a": loguniform(1e-4, 1.0), "b": uniform(0, 1), "c": choice("x", "y"), "d": randint(0, 9)})
NESTED = parse(
    {
        "optimizer": {
            "_type": "choice",
            "_value": [
                {"_name": "torch.optim.Adam", "lr": {"_type": "loguniform", "_value": [1e-4, 1e-1]}},
                {"_name": "torch.optim.SGD", "momentum": {"_type": "uniform", "_value": [0, 1]}},
            ],
        },
        "model.hidden": {"_type": "randint", "_value": [1, 9]},
    }
)


def score(params):
    return sum(len(str(value)) for value in params.values()) + float(params.get("b", 0))


def walk(algorithm, space, trials, *, lag=3, seed=1, resume_at=None, order_seed=0, maximize=True):
    """Run a search whose trials end in a shuffled order, as far as the lag lets them; return all params."""
    suggester = Suggester(algorithm, space, seed=seed, lag=lag, maximize=maximize)
    outcomes, params, waiting = {}, [], []
    rng = random.Random(order_seed)

    def ended(number):
        return outcomes[number]

    while len(params) < trials:
        number = len(params)
        if number == resume_at:
            suggester = Suggester(algorithm, space, seed=seed, lag=lag, maximize=maximize)
            for other, known in enumerate(params):
                suggester.restore(other, known, ended)
        while any(other not in outcomes for other in range(number - lag + 1)):
            other = waiting.pop(rng.randrange(len(waiting)))
            state = TrialState.PRUNED if other % 4 == 3 else TrialState.COMPLETE
            outcomes[other] = Outcome(state=state, score=score(params[other]), history={1: score(params[other])})
        params.append(suggester.suggest(number, ended))
        waiting.append(number)
    return params


@pytest.mark.parametrize("algorithm", ["random", "tpe", "cmaes", "gp"])
def test_the_order_in_which_trials_end_changes_nothing(algorithm: str) -> None:
    trials = 16 if algorithm == "gp" else 30
    assert walk(algorithm, SPACE, trials, order_seed=1) == walk(algorithm, SPACE, trials, order_seed=2)


@pytest.mark.parametrize("algorithm", ["random", "tpe", "cmaes", "gp"])
def test_a_resumed_search_goes_on_as_if_nothing_had_happened(algorithm: str) -> None:
    trials = 16 if algorithm == "gp" else 30
    assert walk(algorithm, SPACE, trials, resume_at=14) == walk(algorithm, SPACE, trials)


@pytest.mark.parametrize("algorithm", ["random", "tpe", "gp"])
def test_nested_choices_draw_only_what_belongs_to_the_choice(algorithm: str) -> None:
    params = walk(algorithm, NESTED, 30)
    assert {len(one) for one in params} == {3}
    assert all(not NESTED.misfits(one) for one in params)
    assert walk(algorithm, NESTED, 30, resume_at=17) == params


@pytest.mark.parametrize("algorithm", ["random", "tpe", "cmaes", "gp"])
def test_each_trial_of_each_seed_has_params_of_its_own(algorithm: str) -> None:
    drawn = [*walk(algorithm, SPACE, 12, seed=1), *walk(algorithm, SPACE, 12, seed=2)]
    middle = 1 if algorithm == "gp" else 0  # with which every search by it begins
    assert len({tuple(params.items()) for params in drawn}) == 24 - middle


@pytest.mark.parametrize("algorithm", ["tpe", "cmaes", "gp"])
def test_a_trial_sees_those_that_the_lag_lets_it_see_and_each_once(algorithm: str) -> None:
    suggester = Suggester(algorithm, SPACE, seed=1, lag=3, maximize=True)
    seen, asked = [], []

    def ended(number: int) -> Outcome:
        asked.append(number)
        return Outcome(state=TrialState.COMPLETE, score=0.5, history={1: 0.5})

    for number in range(8):
        suggester.suggest(number, ended)
        seen.append(list(asked))
    assert seen == [list(range(max(0, number - 2))) for number in range(8)]


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize(("algorithm", "trials"), [("tpe", 60), ("gp", 24)])
def test_it_learns(algorithm: str, trials: int, *, maximize: bool) -> None:
    late = [score(params) for params in walk(algorithm, SPACE, trials, lag=1, maximize=maximize)[trials // 2 :]]
    blind = [score(params) for params in walk("random", SPACE, trials, lag=1)[trials // 2 :]]
    assert (sum(late) > sum(blind)) == maximize


@pytest.mark.parametrize("algorithm", ["tpe", "gp"])
def test_params_on_their_way_are_known_to_what_chooses_new_ones(algorithm: str) -> None:
    params = [completed(SPACE, {}, number, 0) for number in range(16)]

    def ended(number: int) -> Outcome:
        return Outcome(state=TrialState.COMPLETE, score=score(params[number]), history={1: 0.5})

    def chosen(out: list[dict], seed: int) -> dict:
        suggester = Suggester(algorithm, SPACE, seed=seed, lag=4, maximize=True)
        for number, one in enumerate([*params[:13], *out]):
            suggester.restore(number, one, ended)
        return suggester.suggest(16, ended)

    first = [chosen(params[13:], seed) for seed in range(5)]
    near = [[{**one, "b": abs(one["b"] - 0.001 * off)} for off in (1, 2, 3)] for one in first]
    assert first != [chosen(out, seed) for seed, out in enumerate(near)]


def test_gp_takes_no_account_of_the_score_of_a_pruned_trial() -> None:
    def suggested(pruned: float) -> list[dict]:
        suggester = Suggester("gp", SPACE, seed=1, lag=1, maximize=True)

        def ended(number: int) -> Outcome:
            if number % 2:
                return Outcome(state=TrialState.PRUNED, score=pruned + number, history={1: pruned})
            return Outcome(state=TrialState.COMPLETE, score=float(number % 5), history={1: 0.5})

        return [suggester.suggest(number, ended) for number in range(14)]

    assert suggested(0.5) == suggested(99.0)


def test_tpe_takes_into_account_how_far_a_pruned_trial_came() -> None:
    def suggested(most: int) -> list[dict]:
        suggester = Suggester("tpe", SPACE, seed=1, lag=1, maximize=True)

        def ended(number: int) -> Outcome:
            history = dict.fromkeys(range(1, 2 + number % most), 0.5)
            return Outcome(state=TrialState.PRUNED, score=0.5, history=history)

        return [suggester.suggest(number, ended) for number in range(20)]

    assert suggested(1) != suggested(3)


def test_gp_tries_no_params_twice_while_others_are_left() -> None:
    space = Space.of({"a": choice("x", "y", "z"), "b": randint(0, 5)})
    params = walk("gp", space, 17)
    assert len({tuple(one.items()) for one in params[:15]}) == 15
    assert all(not space.misfits(one) for one in params[15:])


def test_numbers_in_order_are_searched_as_such_and_other_choices_are_not() -> None:
    kinds = {(8, 16, 32): "int", (0.5, 0.1, 0): "int", (1, 3, 2): "index", (0, 1): "index", (1, 2, "x"): "index"}
    assert {values: choice(*values).latent.kind for values in kinds} == kinds
    space = Space.of({"width": choice(*(2**power for power in range(4, 12))), "rate": loguniform(1e-4, 1)})
    assert all(not space.misfits(one) for one in walk("tpe", space, 30))


def test_grid_visits_every_point_once() -> None:
    space = Space.of({"a": choice(1, 2, 3), "b": randint(0, 4)})
    params = walk("grid", space, 12)
    assert params[:2] == [{"a": 1, "b": 0}, {"a": 1, "b": 1}]
    assert len({tuple(one.items()) for one in params}) == 12
