"""The tables of the comparison, as Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quality.arms import ARMS

CHECKPOINTS = (1, 2, 5, 10, 20)
MISS = 2.0  # what a run that never reaches the target counts, as a share of the cap
SETS = {
    "LCBench": lambda name: name.startswith("lcbench"),
    "TaskSet": lambda name: name.startswith("taskset"),
    "TaskSet, not tuned on": lambda name: name.startswith("taskset") and not name.endswith(TUNED),
}
TUNED = ("patch128_LSTM128_avg_bs64", "patch32_GRU64_avg_bs128", "patch32_LSTM128_bs128")
Row = dict[str, Any]
ByArm = dict[str, dict[str, dict[int, Row]]]
REFERENCE, CHANCE = "Optuna 5 default", "random"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What values are measured by, for each task: the target, the best value seen, and random search's."""

    tasks: list[str]
    target: dict[str, float]
    best: dict[str, float]
    chance: dict[str, float]

    @classmethod
    def of(cls, table: ByArm, chosen: Callable[[str], bool]) -> Scale:
        """Return the scale of the tasks that the reference and random have run."""
        tasks = sorted(task for task in table[REFERENCE] if chosen(task) and task in table[CHANCE])
        return cls(
            tasks=tasks,
            target={task: float(np.median([_final(row) for row in table[REFERENCE][task].values()])) for task in tasks},
            best={
                task: max(_final(row) for arm in table.values() for row in arm.get(task, {}).values()) for task in tasks
            },
            chance={task: float(np.median([_final(row) for row in table[CHANCE][task].values()])) for task in tasks},
        )

    def regret(self, row: Row, trainings: float) -> float:
        """Return (best - value) / (best - random's) after so many full trainings."""
        best = self.best[row["task"]]
        return (best - _at(row, max(1, round(trainings * row["steps"])))) / (best - self.chance[row["task"]])


def by_arm(rows: list[Row]) -> ByArm:
    """Return the rows by arm, task and seed."""
    table: ByArm = {}
    for row in rows:
        table.setdefault(row["arm"], {}).setdefault(row["task"], {})[row["seed"]] = row
    return table


def text(rows: list[Row]) -> str:
    """Return the report of all runs."""
    table = by_arm(rows)
    if REFERENCE not in table or CHANCE not in table:
        return f"the report begins when there are runs of {REFERENCE} and {CHANCE}"
    return "\n\n".join(_section(title, Scale.of(table, chosen), table) for title, chosen in SETS.items())


def _section(title: str, scale: Scale, table: ByArm) -> str:
    head = ["arm", "share of the cap [95%]", "reach it", "worst task", *(f"regret at {at}" for at in CHECKPOINTS)]
    lines = [
        f"### {title}: {len(scale.tasks)} tasks",
        "",
        _line([*head, "trials", "CPU ms a decision"]),
        "|---" * 11 + "|",
    ]
    for arm in [arm for arm in ARMS if arm in table]:
        runs = [[row for _, row in sorted(table[arm].get(task, {}).items())] for task in scale.tasks]
        if all(runs):
            lines.append(_line(_cells(arm, runs, scale)))
        else:
            done = sum(map(bool, runs))
            lines.append(_line([f"{arm} (on {done} of {len(runs)} tasks so far)", *["-"] * 10]))
    return "\n".join(lines)


def _cells(arm: str, runs: list[list[Row]], scale: Scale) -> list[str]:
    every = [row for of in runs for row in of]
    shares = [np.array([_share(row, scale.target[row["task"]]) for row in of]) for of in runs]
    low, high = _interval(shares)
    seeds = sorted({min(map(len, runs)), max(map(len, runs))})
    return [
        f"{arm} ({'-'.join(map(str, seeds))} {'seed' if seeds == [1] else 'seeds'})",
        f"{_geometric(shares):.2f} [{low:.2f}-{high:.2f}]",
        f"{np.mean(np.concatenate(shares) < MISS):.0%}",
        f"{max(np.exp(np.log(share).mean()) for share in shares):.2f}",
        *(f"{np.mean([scale.regret(row, at) for row in every]):.2f}" for at in CHECKPOINTS),
        f"{np.mean([row['trials'] for row in every]):.0f}",
        f"{np.mean([row['cpu_ms'] for row in every]):.0f}",
    ]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _at(row: Row, epochs: int) -> float:
    return float([value for at, value in row["improved"] if at < epochs][-1])


def _final(row: Row) -> float:
    return float(row["improved"][-1][1])


def _share(row: Row, target: float) -> float:
    """Return the epochs to the target as a share of the cap."""
    first = next((at for at, value in row["improved"] if value >= target), None)
    return MISS if first is None else (first + 1) / (CHECKPOINTS[-1] * row["steps"])


def _geometric(shares: list[np.ndarray]) -> float:
    return float(np.exp(np.mean([np.log(share).mean() for share in shares])))


def _interval(shares: list[np.ndarray]) -> tuple[float, float]:
    """Return a bootstrap 95% interval of the geometric mean, over tasks and the seeds that they share.

    With one seed tasks of one space have the same first trials, so a lucky seed is lucky on all of them.
    """
    rng = np.random.default_rng(0)
    means = []
    for _ in range(2000):
        tasks, seeds = rng.integers(0, len(shares), len(shares)), rng.random(max(map(len, shares)))
        means.append(_geometric([of[(seeds[: len(of)] * len(of)).astype(int)] for of in (shares[t] for t in tasks)]))
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
