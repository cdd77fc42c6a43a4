"""What a search does next, by a plan's public methods: it depends on the lag, and not on what happens to be over."""

from __future__ import annotations

import functools
import random
from dataclasses import replace

import pytest

from litune.algorithms import asha
from litune.algorithms.decision import Decision, SeenTrial
from litune.algorithms.plan import Legs, WholeTrials
from litune.algorithms.suggest import Suggester
from litune.algorithms.thaw import Thaw
from litune.space.space import Space, choice, randint, uniform
from litune.table import Leg, TrialRow
from litune.trial import TrialState

STEPS = 9
SPACE = Space.of({"x": uniform(0, 1)})
FEW = Space.of({"x": randint(0, 5), "y": choice(0, 0.5)})


def patient(number: int, trials: list[SeenTrial], left: float) -> Decision | None:
    """Decide on nothing, often, while there is something to wait for."""
    if number % 7 in (3, 4, 5) and any(trial.until for trial in trials):
        return None
    return asha.decide(number, trials, left, space=SPACE, seed=1, steps=STEPS)


ALGORITHMS = {
    "patient": lambda: patient,
    "asha": lambda: functools.partial(asha.decide, space=SPACE, seed=1, steps=STEPS),
    "thaw": lambda: Thaw(SPACE, seed=1, steps=STEPS).decide,
    "thaw, few params": lambda: Thaw(FEW, seed=1, steps=STEPS).decide,
}


def value(params: dict, step: int) -> float:
    return params["x"] + params.get("y", 0) - 1 / step


def ended(row: TrialRow) -> TrialRow:
    """Return the trial at the end of its leg: some fail at once, and some end by themselves before their last step."""
    if row.number % 7 == 3:
        return replace(row, state=TrialState.FAILED)
    until = min(row.legs[-1].until, 2 if row.number % 5 == 4 else STEPS)
    state = TrialState.PAUSED if until == row.legs[-1].until < STEPS else TrialState.COMPLETE
    history = {step: value(row.params, step) for step in range(1, until + 1)}
    return replace(row, state=state, resting=state is TrialState.PAUSED, history=history)


def walk(made, *, workers: int, order=0, resume=False, lag=4, first=None, maximize=True, total=90, queue=()):
    """Return the decisions of a search whose legs end in a shuffled order, and the trials."""
    rng, rows, out, decisions = random.Random(order), {}, [], []

    def plan():
        about = {"lag": lag, "first_lag": first, "total": total, "maximize": maximize, "queue": queue}
        return Legs(made(), rows, steps=STEPS, **about)

    now = plan()
    while True:
        if resume:
            now = plan()
        found = now.next(rows) if len(out) < workers else None
        if found is not None:
            decisions.append(found)
            number, decision = found
            trial = len(rows) if decision.trial is None else decision.trial
            new = TrialRow(number=trial, state=TrialState.RUNNING, params=decision.params or {}, seed=0)
            row = rows.get(trial, new)
            legs = (*row.legs, Leg(number, decision.until))
            rows[trial] = replace(row, state=TrialState.RUNNING, resting=False, legs=legs)
            out.append(trial)
        elif out:
            trial = out.pop(rng.randrange(len(out)))
            rows[trial] = ended(rows[trial])
        else:
            assert now.over(rows)
            return decisions, rows, now.spent(rows)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_order_in_which_legs_end_the_workers_and_an_interruption_change_nothing(algorithm: str) -> None:
    made = ALGORITHMS[algorithm]
    decisions, rows, _ = walk(made, workers=1)
    assert len(rows) > 8
    assert any(len(row.legs) > 2 for row in rows.values())
    for workers, order in ((2, 1), (4, 2), (4, 3)):
        assert walk(made, workers=workers, order=order)[:2] == (decisions, rows)
    assert walk(made, workers=4, order=4, resume=True)[:2] == (decisions, rows)
    late = walk(made, workers=1, first=8)[:2]
    assert late != (decisions, rows)
    assert walk(made, workers=4, order=5, resume=True, first=8)[:2] == late


@pytest.mark.parametrize("lag", [1, 3])
def test_legs_of_one_step_are_seen_like_trials_in_one_go(lag: int) -> None:
    seen = []

    def decide(number, trials, left):
        seen.append([index for index, trial in enumerate(trials) if trial.curve or trial.over])
        return Decision(trial=None, params={"x": number}, until=1, why="")

    walk(lambda: decide, workers=1, lag=lag, total=10)
    assert seen == [list(range(max(0, number - lag + 1))) for number in range(10)]


def test_a_first_leg_may_be_seen_later_than_one_that_continues_a_trial() -> None:
    new, seen = Decision(trial=None, params={"x": 0}, until=1, why=""), []
    script = [new, new, None, Decision(trial=0, params=None, until=2, why=""), new]

    def decide(number, trials, left):
        seen.append([trial.reached for trial in trials])
        return script[number]

    walk(lambda: decide, workers=1, lag=1, first=3, total=4)
    assert seen == [[], [0], [0, 0], [1, 0], [2, 1]]


def test_after_a_decision_on_nothing_the_next_one_sees_one_trial_more() -> None:
    seen = []

    def decide(number, trials, left):
        seen.append([index for index, trial in enumerate(trials) if trial.curve or trial.over])
        return None if number in (3, 4, 5) else Decision(trial=None, params={"x": number}, until=1, why="")

    walk(lambda: decide, workers=4, lag=4, total=4)
    assert seen == [[], [], [], [], [0], [0, 1], [0, 1, 2]]


def test_of_a_trial_that_goes_on_what_it_had_before_is_seen() -> None:
    seen = []

    def decide(number, trials, left):
        seen.append([(dict(trial.curve), trial.until) for trial in trials])
        return Decision(trial=0 if trials else None, params=None if trials else {"x": 1}, until=number + 1, why="")

    walk(lambda: decide, workers=1, lag=1, total=3)
    assert seen == [[], [({1: 0.0}, 0)], [({1: 0.0, 2: 0.5}, 0)]]


def test_of_a_leg_that_may_not_be_seen_yet_its_end_is_known_and_no_value() -> None:
    seen = []

    def decide(number, trials, left):
        seen.append([(list(trial.curve), trial.until) for trial in trials[:1]])
        going_on = number == 3
        return Decision(trial=0 if going_on else None, params={"x": number}, until=3 if going_on else 1, why="")

    walk(lambda: decide, workers=1, lag=2, total=8)
    assert seen == [[], [([], 1)], [([1], 0)], [([1], 0)], [([1], 3)], [([1], 3)], [([1, 2, 3], 0)]]


def test_the_first_trials_have_the_params_of_the_queue() -> None:
    def decide(number, trials, left):
        return Decision(trial=None, params={"x": number}, until=1, why="")

    _, rows, _ = walk(lambda: decide, workers=1, total=4, queue=[{"x": 0.25}, {"x": 0.5}])
    assert [row.params["x"] for row in rows.values()] == [0.25, 0.5, 2, 3]


def test_what_is_better_is_larger_to_an_algorithm_whatever_the_mode() -> None:
    def decide(number, trials, left):
        seen.extend(trial.best() for trial in trials)
        return Decision(trial=None, params={"x": 3}, until=1, why="")

    for maximize in (True, False):
        seen: list[float] = []
        walk(lambda: decide, workers=1, lag=1, total=2, maximize=maximize)
        assert seen == [2.0 if maximize else -2.0]


def test_a_trial_costs_a_step_at_least_and_one_that_ended_by_itself_those_that_it_took() -> None:
    def decide(number, trials, left):
        lefts.append(left)
        return Decision(trial=None, params={"x": 0}, until=STEPS, why="")

    lefts: list[float] = []
    _, rows, spent = walk(lambda: decide, workers=1, lag=1, total=31)
    assert lefts == [31, 22, 13, 4, 3, 1]  # trial 3 failed before its first step, trial 4 took two
    assert spent == 39
    assert len(rows) == 6


@pytest.mark.parametrize("algorithm", ["tpe", "cmaes", "gp"])
def test_trials_in_one_go_are_the_same_ones_after_an_interruption(algorithm: str) -> None:
    def tried(*, resume: bool) -> list[dict]:
        rows: dict[int, TrialRow] = {}

        def made() -> WholeTrials:
            suggester = Suggester(algorithm, FEW if algorithm == "gp" else SPACE, seed=1, lag=2, maximize=True)
            return WholeTrials(suggester, rows, lag=2, total=15, steps=1)

        plan = made()
        for number in range(15):
            plan = made() if resume else plan
            found = plan.next(rows)
            assert found is not None
            score = value(found[1].params, 1)
            how = {"state": TrialState.COMPLETE, "score": score, "history": {1: score}}
            rows[number] = TrialRow(number=number, params=found[1].params, seed=0, **how)
        return [dict(row.params) for row in rows.values()]

    assert tried(resume=True) == tried(resume=False)


def test_a_trial_in_one_go_waits_for_those_that_it_may_see_and_for_no_others() -> None:
    suggester = Suggester("tpe", SPACE, seed=1, lag=2, maximize=True)
    rows: dict[int, TrialRow] = {}
    plan = WholeTrials(suggester, rows, lag=2, total=5, steps=1)

    def started() -> list[int]:
        before = len(rows)
        while found := plan.next(rows):
            number, decision = found
            assert number == len(rows)
            rows[number] = TrialRow(number=number, state=TrialState.RUNNING, params=decision.params or {}, seed=0)
        return list(range(before, len(rows)))

    def end(number: int) -> None:
        rows[number] = replace(rows[number], state=TrialState.COMPLETE, score=0.5, history={1: 0.5})

    assert started() == [0, 1]
    end(1)
    assert started() == []
    end(0)
    assert started() == [2, 3]
    end(3)
    assert started() == []
    end(2)
    assert started() == [4]
    assert not plan.over(rows)
    end(4)
    assert started() == []
    assert plan.over(rows)
