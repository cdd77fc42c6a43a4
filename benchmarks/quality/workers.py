"""Many workers in simulated time: `python -m benchmarks.quality.workers --tables DIR`; again to go on where it stopped.

The trainings of LCBench with the seconds that the surrogate gives them. litune's arms are driven by its own plan, so
decision k waits for the results that search.lag says (for the first legs of trials: --first). The others hand out a
trial as soon as a worker is free, and are told of trials in flight. The budget is 20 full trainings, or 2 a worker
where that is more.

Busy: the share of the workers' time that is trained, until no work is left to hand out. Time to target: until Optuna's
default's median final value on one worker, as a share of the time that this takes; a miss counts 2 / workers.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.quality import resumable
from benchmarks.quality.tables import Task, lcbench
from litune.algorithms import asha
from litune.algorithms.plan import Decide, Legs
from litune.algorithms.thaw import Thaw
from litune.parallelism import LAG
from litune.space.distributions import distribution
from litune.table import Leg, TrialRow
from litune.trial import TrialState

COUNTS = (1, 4, 16, 64)
MISS = 2.0  # what a run that never reaches the target counts, as a share of the time that the budget takes
Row = dict[str, Any]
Lags = tuple[int, int]  # of all legs, and of the first ones of trials
TASKS: dict[str, Task] = {}  # set in each worker process


@dataclass(kw_only=True)
class Clock:
    """The workers' time: legs in flight, what is over, and when which value was seen (seconds)."""

    workers: int
    now: float = 0.0
    handed_out: float = math.inf  # when no work was left to hand out
    waited: float = 0.0  # workers times seconds without work, until then
    flying: list[tuple[float, int]] = field(default_factory=list)
    best: list[tuple[float, float]] = field(default_factory=list)

    def start(self, trial: int, seconds: float, values: np.ndarray, times: np.ndarray) -> None:
        """Put a leg on a free worker: its values will be seen at `times` from now."""
        heapq.heappush(self.flying, (self.now + seconds, trial))
        self.best += [(self.now + float(at), float(value)) for at, value in zip(times, values, strict=True)]

    def ends(self) -> int:
        """Go on to the end of the next leg, and return its trial."""
        before = self.now
        idle = self.workers - len(self.flying)
        self.now, trial = heapq.heappop(self.flying)
        if math.isinf(self.handed_out):
            self.waited += idle * (self.now - before)
        return trial


def in_legs(make: Callable[[Task, int], Decide], task: Task, seed: int, clock: Clock, cap: int, lags: Lags) -> None:
    """Run one of litune's searches in legs."""
    rows: dict[int, TrialRow] = {}
    lag, first = lags
    plan = Legs(make(task, seed), rows, lag=lag, first_lag=first, total=cap, steps=task.steps, maximize=True)
    while True:
        while len(clock.flying) < clock.workers and (found := plan.next(rows)) is not None:
            number, decision = found
            trial = len(rows) if decision.trial is None else decision.trial
            if decision.trial is None:
                assert decision.params is not None
                rows[trial] = TrialRow(number=trial, state=TrialState.RUNNING, params=decision.params, seed=0)
            row = rows[trial]
            values, seconds = task.curve(row.params)
            start = row.legs[-1].until if row.legs else 0
            rows[trial] = replace(
                row, state=TrialState.RUNNING, resting=False, legs=(*row.legs, Leg(number, decision.until))
            )
            began = float(seconds[start - 1]) if start else 0.0
            times = seconds[start : decision.until] - began
            clock.start(trial, float(times[-1]), values[start : decision.until], times)
        if math.isinf(clock.handed_out) and plan.spent(rows) >= cap:
            clock.handed_out = clock.now
        if not clock.flying:
            return
        trial = clock.ends()
        row, (values, _) = rows[trial], task.curve(rows[trial].params)
        until = row.legs[-1].until
        history = {step: float(values[step - 1]) for step in range(1, until + 1)}
        whole = until >= task.steps
        state = TrialState.COMPLETE if whole else TrialState.PAUSED
        rows[trial] = replace(row, state=state, resting=not whole, history=history)


def freely(
    sampler: Callable[[int], Any], pruner: Any, task: Task, seed: int, clock: Clock, cap: int, _lags: Lags
) -> None:
    """Run Optuna: a free worker gets a trial at once, which ends early if the pruner says so."""
    study = optuna.create_study(direction="maximize", sampler=sampler(seed), pruner=pruner)
    held = {key: distribution(parameter.latent) for key, parameter in task.space.parameters.items()}
    trials: list[tuple[optuna.Trial, np.ndarray, np.ndarray]] = []
    step: list[int] = []  # of each trial
    spent = 0

    def epoch(number: int) -> None:
        _, values, seconds = trials[number]
        at = step[number]
        took = float(seconds[at] - (seconds[at - 1] if at else 0.0))
        clock.start(number, took, values[at : at + 1], np.array([took]))
        step[number] += 1

    while True:
        while len(clock.flying) < clock.workers and spent < cap:
            trial = study.ask(held)
            trials.append((trial, *task.curve(task.space.draw(trial.params.__getitem__))))
            step.append(0)
            epoch(trial.number)
            spent += 1
        if math.isinf(clock.handed_out) and spent >= cap:
            clock.handed_out = clock.now
        if not clock.flying:
            return
        number = clock.ends()
        trial, values, _ = trials[number]
        trial.report(float(values[step[number] - 1]), step[number])
        if step[number] == task.steps:
            study.tell(trial, float(values.max()))
        elif trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        elif spent < cap:
            epoch(number)
            spent += 1


def _thaw(task: Task, seed: int) -> Decide:
    return Thaw(task.space, seed=seed, steps=task.steps).decide


def _asha(task: Task, seed: int) -> Decide:
    return partial(asha.decide, space=task.space, seed=seed, steps=task.steps)


def _tpe(seed: int) -> Any:
    return optuna.samplers.TPESampler(seed=seed)


ARMS: dict[str, Callable[[Task, int, Clock, int, Lags], None]] = {
    "random": partial(freely, optuna.samplers.RandomSampler, optuna.pruners.NopPruner()),
    "Optuna 5 default": partial(freely, _tpe, optuna.pruners.MedianPruner()),
    "litune auto (thaw)": partial(in_legs, _thaw),
    "asha": partial(in_legs, _asha),
}
REFERENCE = "Optuna 5 default"
LEAST = {"litune auto (thaw)": 1, "asha": LAG}  # lag of those in legs


def load(tables: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    TASKS.update({task.name: task for task in lcbench(tables)})


def run(job: tuple[str, str, int, int, int, int]) -> Row:
    arm, name, seed, workers, lag, first = job
    task = TASKS[name]
    clock = Clock(workers=workers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's notices of experimental parts
        ARMS[arm](task, seed, clock, max(20, 2 * workers) * task.steps, (lag, first))
    best, improved = -math.inf, []
    for at, value in sorted(clock.best):
        if value > best:
            best = value
            improved.append((at, value))
    row = {"arm": arm, "task": name, "seed": seed, "workers": workers, "lag": lag, "first": first, "improved": improved}
    return {
        **row,
        "idle": clock.waited / (workers * clock.handed_out),
        "seconds": clock.now,
        "handed": clock.handed_out,
    }


def text(rows: list[Row]) -> str:
    """Return the tables, as Markdown."""
    tasks = sorted({row["task"] for row in rows if row["workers"] == 1 and row["arm"] == REFERENCE})
    if not tasks:
        return f"the table begins when there are runs of {REFERENCE} by one worker"
    target, usual = {}, {}
    for task in tasks:
        own = [row for row in rows if (row["arm"], row["task"], row["workers"]) == (REFERENCE, task, 1)]
        target[task] = float(np.median([row["improved"][-1][1] for row in own]))
        usual[task] = float(np.median([row["handed"] for row in own]))
    lines = [
        "| workers | arm | lag | of first legs | busy | worst | time to target | reach it | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    kinds = sorted({_kind(row) for row in rows})
    for kind in kinds:
        alike = [row for row in rows if _kind(row) == kind and row["task"] in target]
        workers, arm, lag, first = kind
        shares = []
        for row in alike:
            at = next((at for at, value in row["improved"] if value >= target[row["task"]]), None)
            shares.append(MISS / workers if at is None else at / usual[row["task"]])
        busy = [1 - row["idle"] for row in alike]
        cells = [str(workers), list(ARMS)[arm], *(str(steps) if steps else "-" for steps in (lag, first))]
        cells += [f"{np.mean(busy):.1%}", f"{min(busy):.1%}"]
        cells += [f"{np.exp(np.mean(np.log(shares))):.3f}", f"{np.mean([s < MISS / workers for s in shares]):.0%}"]
        lines.append("| " + " | ".join([*cells, str(len(alike))]) + " |")
    return "\n".join(lines)


def _lags(arm: str, lag: int, first: float) -> Lags:
    if arm not in LEAST:
        return 0, 0
    lag = max(LEAST[arm], lag)
    return lag, round(first * lag)


def _kind(row: Row) -> tuple[int, int, int, int]:
    return row["workers"], list(ARMS).index(row["arm"]), row["lag"], row["first"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True, help="the directory of lcbench/")
    parser.add_argument("--results", type=Path, default=Path("runs/workers.jsonl"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--workers", type=int, nargs="*", default=COUNTS)
    parser.add_argument(
        "--lags", type=float, nargs="*", default=(1.0,), help="as shares of the workers; asha: at least 4"
    )
    parser.add_argument("--first", type=float, default=1.0, help="lag of first legs, as a share of the lag")
    given = parser.parse_args()
    load(given.tables)
    jobs = [
        (arm, task, seed, workers, *_lags(arm, round(share * workers), given.first))
        for seed in range(given.seeds)
        for workers in given.workers
        for share in given.lags
        for arm in given.arms
        for task in TASKS
    ]
    keys = ("arm", "task", "seed", "workers", "lag", "first")
    rows = resumable.rows(
        given.results, jobs, run, keys=keys, processes=given.processes, load=load, given=(given.tables,)
    )
    print(text(rows))


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # before the workers import numpy
    main()
