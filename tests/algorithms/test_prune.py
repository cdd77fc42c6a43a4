from pathlib import Path

from litune.algorithms.prune import prune_below
from tests.in_process import search, trials

CURVES = {number: {1: 0.1 * number, 2: 0.2 * number, 3: 0.3 * number} for number in range(6)}


def test_none_never_stops() -> None:
    assert prune_below("none", 9, CURVES, maximize=True, max_steps=9) == {}


def test_median_is_the_middle_of_the_others_at_each_step_but_the_last() -> None:
    rule = prune_below("median", 9, CURVES, maximize=True, max_steps=3)
    assert rule.keys() == {1, 2}
    assert abs(rule[1] - 0.25) < 1e-12
    assert abs(rule[2] - 0.5) < 1e-12


def test_median_waits_for_five_trials_at_the_step() -> None:
    few = {number: CURVES[number] for number in range(4)}
    assert prune_below("median", 9, few, maximize=True, max_steps=3) == {}
    enough = {number: CURVES[number] for number in range(5)}
    assert prune_below("median", 9, enough, maximize=True, max_steps=3).keys() == {1, 2}


def test_minimisation_turns_the_sign() -> None:
    rule = prune_below("median", 9, CURVES, maximize=False, max_steps=3)
    assert abs(rule[1] + 0.25) < 1e-12


def test_asha_keeps_the_top_third_at_the_rungs() -> None:
    curves = {number: {1: float(number), 3: float(number)} for number in range(8)}
    rule = prune_below("asha", 8, curves, maximize=True, max_steps=9)
    assert rule == {1: 5.0, 3: 5.0}  # 9 trials with this one: 3 stay, so it must reach the third best of the others


def test_hyperband_brackets_rank_only_their_own_trials() -> None:
    curves = {number: {1: float(number), 3: float(number)} for number in range(12)}
    first = prune_below("hyperband", 12, curves, maximize=True, max_steps=9)
    assert first == {1: 9.0, 3: 9.0}  # bracket 0 of 3: the best of 0, 3, 6, 9
    assert prune_below("hyperband", 14, curves, maximize=True, max_steps=9) == {}  # bracket 2 never stops


def test_values_that_are_not_finite_do_not_count() -> None:
    curves = {number: {1: float("nan")} for number in range(9)}
    assert prune_below("median", 9, curves, maximize=True, max_steps=5) == {}


def test_trainings_of_unknown_length_are_pruned_as_those_before_them_were_long(tmp_path: Path) -> None:
    assert prune_below("median", 9, CURVES, maximize=True, max_steps=0).keys() == {1, 2}
    assert prune_below("asha", 9, CURVES, maximize=True, max_steps=0).keys() == {1}
    assert prune_below("hyperband", 0, {}, maximize=True, max_steps=0) == {}
    length = ["trainer.max_epochs=-1", "trainer.max_steps=6"]
    search(tmp_path, "search.algorithm=random", "search.trials=12", "search.pruner=median", *length)
    assert {row["state"] for row in trials(tmp_path / "it")} == {"COMPLETE", "PRUNED"}
