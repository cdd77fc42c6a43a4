"""One run of one search on one task, in a worker process that has loaded the tables."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from benchmarks.quality.arms import ARMS
from benchmarks.quality.tables import Task, lcbench, taskset

TRAININGS = 20
TASKS: dict[str, Task] = {}  # set in each worker process


def load(tables: Path) -> None:
    TASKS.update({task.name: task for task in [*lcbench(tables), *taskset(tables)]})


def run(job: tuple[str, str, int]) -> dict[str, Any]:
    arm, name, seed = job
    task = TASKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's and NNI's notices of experimental parts
        trace = ARMS[arm](task, seed, TRAININGS * task.steps)
    improved = [(0, trace.best[0])]
    improved += [
        (at, now) for at, (last, now) in enumerate(zip(trace.best, trace.best[1:], strict=False), 1) if now > last
    ]
    row = {"arm": arm, "task": name, "seed": seed, "steps": task.steps, "trials": trace.trials, "improved": improved}
    row["decisions"] = len(trace.cpu)
    row["cpu_ms"] = 1000 * sum(trace.cpu) / max(len(trace.cpu), 1)
    return row
