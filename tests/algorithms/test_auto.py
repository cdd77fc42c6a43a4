import pytest

from litune.algorithms.auto import choose
from litune.space.space import Space, choice, randint, uniform

NUMBERS = Space.of({"x": uniform(0, 1)})
MIXED = Space.of({"x": uniform(0, 1), "act": choice("a", "b")})
GRID = Space.of({"depth": randint(1, 5), "act": choice("a", "b")})


@pytest.mark.parametrize(
    ("space", "given", "algorithm", "because"),
    [
        (GRID, {"trials": 8, "steps": 10, "whole": ""}, "grid", "grid of 8 fits"),
        (GRID, {"trials": 7, "steps": 10, "whole": ""}, "thaw", "reports 10 times"),
        (MIXED, {"trials": 20, "steps": 4, "whole": ""}, "thaw", "checkpoint"),
        (NUMBERS, {"trials": 20, "steps": 3, "whole": ""}, "gp", "only 3 times"),
        (NUMBERS, {"trials": 250, "steps": 10, "whole": "no checkpoints"}, "gp", "no checkpoints"),
        (NUMBERS, {"trials": 251, "steps": 10, "whole": "no checkpoints"}, "tpe", "more than 250 trials"),
        (MIXED, {"trials": 20, "steps": 1, "whole": ""}, "gp", "at most 250 trials"),
    ],
)
def test_auto_chooses_by_curves_space_and_budget_and_says_why(space, given, algorithm, because):
    chosen, why = choose(space, **given)
    assert chosen == algorithm
    assert because in why
