"""The tables of the comparison, as Markdown."""

from __future__ import annotations

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
REFERENCE, CHANCE = "Optuna 5 default", "random"


def text(rows: list[dict[str, Any]]) -> str:
    """Return the report of all runs."""
    by_arm: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for row in rows:
        by_arm.setdefault(row["arm"], {}).setdefault(row["task"], {})[row["seed"]] = row
    return "\n\n".join(_section(title, chosen, by_arm) for title, chosen in SETS.items())


def _section(title: str, chosen: Any, by_arm: dict[str, dict[str, dict[int, dict[str, Any]]]]) -> str:
    tasks = sorted(task for task in by_arm[REFERENCE] if chosen(task))
    target, best, chance = {}, {}, {}
    for task in tasks:
        target[task] = np.median([_final(row) for row in by_arm[REFERENCE][task].values()])
        chance[task] = np.median([_final(row) for row in by_arm[CHANCE][task].values()])
        best[task] = max(_final(row) for arm in by_arm.values() for row in arm.get(task, {}).values())
    head = ["arm", "share of the cap [95%]", "reach it", "worst task", *(f"regret at {at}" for at in CHECKPOINTS)]
    lines = [f"### {title}: {len(tasks)} tasks", "", _line([*head, "trials", "CPU ms a decision"]), "|---" * 11 + "|"]
    for arm in [arm for arm in ARMS if all(task in by_arm.get(arm, {}) for task in tasks)]:
        runs = [list(by_arm[arm][task].values()) for task in tasks]
        shares = [np.array([_share(row, target[task]) for row in of]) for task, of in zip(tasks, runs, strict=True)]
        low, high = _interval(shares)
        regret = [
            np.mean(
                [
                    (best[task] - _at(row, at * row["steps"])) / (best[task] - chance[task])
                    for task, of in zip(tasks, runs, strict=True)
                    for row in of
                ]
            )
            for at in CHECKPOINTS
        ]
        every = [row for of in runs for row in of]
        lines.append(
            _line(
                [
                    f"{arm} ({min(map(len, runs))} seeds)",
                    f"{_geometric(shares):.2f} [{low:.2f}-{high:.2f}]",
                    f"{np.mean(np.concatenate(shares) < MISS):.0%}",
                    f"{max(np.exp(np.log(share).mean()) for share in shares):.2f}",
                    *(f"{value:.2f}" for value in regret),
                    f"{np.mean([row['trials'] for row in every]):.0f}",
                    f"{np.mean([row['cpu_ms'] for row in every]):.0f}",
                ]
            )
        )
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _at(row: dict[str, Any], epochs: int) -> float:
    return float([value for at, value in row["improved"] if at < epochs][-1])


def _final(row: dict[str, Any]) -> float:
    return float(row["improved"][-1][1])


def _share(row: dict[str, Any], target: float) -> float:
    """Return the epochs to the target as a share of the cap."""
    first = next((at for at, value in row["improved"] if value >= target), None)
    return MISS if first is None else (first + 1) / (CHECKPOINTS[-1] * row["steps"])


def _geometric(shares: list[np.ndarray]) -> float:
    return float(np.exp(np.mean([np.log(share).mean() for share in shares])))


def _interval(shares: list[np.ndarray]) -> tuple[float, float]:
    """Return a bootstrap 95% interval of the geometric mean, over tasks and seeds."""
    rng = np.random.default_rng(0)
    means = []
    for _ in range(2000):
        tasks = rng.integers(0, len(shares), len(shares))
        means.append(_geometric([rng.choice(shares[task], len(shares[task])) for task in tasks]))
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
