"""The trial table, its digest, and what a curve scores."""

import math
from dataclasses import replace

import pytest

from litune.objective import Objective
from litune.table import Leg, TrialRow, digest, leaderboard
from litune.trial import TrialState

ROW = TrialRow(
    number=1, state=TrialState.COMPLETE, params={"a": 1, "b": 0.5}, seed=7, score=0.25, history={1: 0.5, 2: 0.25}
)
BIT = math.nextafter(0.25, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"number": 2},
        {"state": TrialState.PRUNED},
        {"params": {"a": 1, "b": 0.25}},
        {"params": {"a": True, "b": 0.5}},
        {"score": BIT},
        {"score": None},
        {"history": {1: 0.5, 2: BIT}},
        {"history": {1: 0.5, 3: 0.25}},
        {"schedule": ({"step": 1, "trial": 0, "params": {"a": 2}},)},
    ],
)
def test_whatever_a_trial_means_is_in_the_digest_to_the_last_bit(change: dict) -> None:
    assert digest([replace(ROW, **change)]) != digest([ROW])


def test_nothing_else_is_in_the_digest() -> None:
    for change in (
        {"params": {"b": 0.5, "a": 1}},
        {"history": {2: 0.25, 1: 0.5}},
        {"seconds": 3.0, "where": "elsewhere:1", "attempt": 2, "reused": 0, "checkpoint": "last.ckpt"},
    ):
        assert digest([replace(ROW, **change)]) == digest([ROW])
    other = replace(ROW, number=0, score=0.5)
    running = replace(ROW, number=2, state=TrialState.RUNNING)
    assert digest([ROW, running, other]) == digest([other, ROW]) != digest([ROW])


@pytest.mark.parametrize(("maximize", "order"), [(True, [4, 1, 3, 0]), (False, [0, 1, 3, 4])])
def test_the_best_of_those_that_may_be_compared_comes_first_and_of_equals_the_lower_number(
    maximize: bool, order: list[int]
) -> None:
    of = {0: 0.0, 3: 0.25, 1: 0.25, 2: 9.0, 4: 0.5, 5: None}
    rows = [replace(ROW, number=number, score=score) for number, score in of.items()]
    rows[3] = replace(rows[3], state=TrialState.PRUNED)
    assert [row.number for row in leaderboard(rows, maximize=maximize)] == order
    rows[3] = replace(rows[3], legs=(Leg(0, 2),))  # of one in legs it stands, as far as it has come
    assert [row.number for row in leaderboard(rows, maximize=maximize)][0 if maximize else -1] == 2


@pytest.mark.parametrize(
    ("how", "score"),
    [
        ({"mode": "max"}, 5.0),
        ({"mode": "min"}, 1.0),
        ({"reduce": "last"}, 4.0),
        ({"reduce": "mean_last_k", "last_k": 2}, 3.5),
        ({"reduce": "mean_last_k", "last_k": 9}, 3.25),
    ],
)
def test_a_curve_is_reduced_in_the_order_of_its_steps(how: dict, score: float) -> None:
    assert Objective(metric="m", **how).score({4: 4.0, 1: 1.0, 3: 3.0, 2: 5.0}) == score


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_value_that_is_no_number_is_not_hidden_by_a_better_one(mode: str) -> None:
    assert math.isnan(Objective(metric="m", mode=mode).score({1: 0.5, 2: math.nan, 3: 0.25}))
    assert Objective(metric="m", mode=mode).better(*((0.5, 0.25) if mode == "max" else (0.25, 0.5)))
    assert not Objective(metric="m", mode=mode).better(0.5, 0.5)
