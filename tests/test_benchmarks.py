"""The figures of the benchmarks' tables, on examples worked out by hand."""

from benchmarks.quality import single


def row(arm: str, seed: int, best: float) -> dict:
    return {"arm": arm, "task": "car", "seed": seed, "best": best, "cpu_ms": 1.0, "different": 50}


def test_ranks_share_ties_and_leave_out_seeds_that_an_arm_lacks() -> None:
    mine, other, chance = "litune auto, search.lag=4", "Optuna GP, places", "random"
    rows = [row(mine, 0, 0.9), row(other, 0, 0.9), row(chance, 0, 0.5)]
    rows += [row(mine, 1, 0.7), row(other, 1, 0.8), row(chance, 1, 0.6)]
    rows += [row(mine, 2, 0.7)]
    assert single.ranks(rows) == {mine: [[1.5, 2.0]], other: [[1.5, 1.0]], chance: [[3.0, 3.0]]}
    assert "| Optuna GP, places | 1.25 [1.00-1.50] | 2 |" in single.text(rows)
