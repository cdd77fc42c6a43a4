"""python benchmarks/lag.py [--real]: what search.lag costs in regret, and what it saves in idle workers.

Regret: tpe, 50 trials, the median over seeds of (best - optimum) / (median of random search's - optimum), on test
functions of 2 to 8 parameters, for each lag. Idle: the share of worker time that is waited away when trials take one or
two units of time at random, for each lag and number of workers. Nothing is trained; the suggestions are litune's own.
--real: instead, how busy workers are in real searches (tpe, the default lag) of trials that sleep, one in two twice as
long as the others.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from litune.algorithms.suggest import Suggester
from litune.space.space import Space, choice, loguniform, uniform
from litune.trial import Outcome, TrialState

LAGS = (1, 2, 4, 8, 16)
SEEDS = range(11)
TRIALS = 50


def branin(p: Mapping[str, Any]) -> float:
    x, y = p["a"], p["b"]
    return (
        (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
    )


def rosenbrock(p: Mapping[str, Any]) -> float:
    x = list(p.values())
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(len(x) - 1))


def training_like(p: Mapping[str, Any]) -> float:
    lr = (math.log10(p["lr"]) + 2.5) ** 2
    width = {"32": 0.3, "64": 0.1, "128": 0.0, "256": 0.05}[p["width"]]
    return 0.1 * lr * (1 + width) + width + (p["dropout"] - 0.2) ** 2 + 0.05 * (math.log10(p["decay"]) + 4) ** 2


SPACES: dict[str, tuple[Callable[[Mapping[str, Any]], float], Space, float]] = {
    "branin": (branin, Space.of({"a": uniform(-5, 10), "b": uniform(0, 15)}), 0.397887),
    "rosenbrock-4": (rosenbrock, Space.of({name: uniform(-2, 2) for name in "abcd"}), 0.0),
    "rosenbrock-8": (rosenbrock, Space.of({name: uniform(-2, 2) for name in "abcdefgh"}), 0.0),
    "training-like": (
        training_like,
        Space.of({"lr": loguniform(1e-5, 1), "width": choice("32", "64", "128", "256"), "dropout": uniform(0, 0.8),
                  "decay": loguniform(1e-7, 1e-1)}),
        0.0,
    ),
}  # fmt: skip


def best_after(algorithm: str, name: str, lag: int, seed: int) -> float:
    function, space, optimum = SPACES[name]
    suggester = Suggester(algorithm, space, seed=seed, lag=lag, maximize=False)
    outcomes: list[Outcome] = []
    for number in range(TRIALS):
        value = function(suggester.suggest(number, outcomes.__getitem__))
        outcomes.append(Outcome(state=TrialState.COMPLETE, score=value, history={1: value}))
    return min(outcome.score or 0.0 for outcome in outcomes) - optimum


def idle(lag: int, workers: int, trials: int = 400) -> float:
    """Return the share of the workers' time that is spent waiting for trial n - lag."""
    rng = random.Random(0)
    lengths = [rng.choice((1.0, 2.0)) for _ in range(trials)]
    ends: list[float] = []
    free = [0.0] * workers
    heapq.heapify(free)
    allowed = 0.0  # when every trial <= n - lag has ended
    for number in range(trials):
        if number >= lag:
            allowed = max(allowed, ends[number - lag])
        start = max(heapq.heappop(free), allowed)
        ends.append(start + lengths[number])
        heapq.heappush(free, ends[-1])
    return 1 - sum(lengths) / (workers * max(ends))


def sleeper(params: Mapping[str, Any], _trial: Any) -> float:
    """Sleep for a time or twice as long, whichever the params make it, and note when."""
    began = time.time()
    time.sleep(float(os.environ["SLEEP"]) * (1 + int(params["x"] * 1e6) % 2))
    with Path(os.environ["SLEEPS"]).open("a") as lines:
        lines.write(json.dumps([began, time.time()]) + "\n")
    return float(params["x"])


def busy(backend: str, workers: int, seconds: float, trials: int = 40) -> float:
    """Return the share of the workers' time that trials sleep, from the first start until the last trial starts."""
    import litune

    with tempfile.TemporaryDirectory() as root:
        os.environ["SLEEPS"], os.environ["SLEEP"] = f"{root}/sleeps", str(seconds)
        with contextlib.redirect_stdout(io.StringIO()):
            litune.search(
                sleeper,
                space={"x": uniform(0, 1)},
                trials=trials,
                backend=backend,
                parallel=workers,
                algorithm="tpe",
                name="lag",
                runs=root,
            )
        times = [json.loads(line) for line in Path(root, "sleeps").read_text().splitlines()]
    first, last = min(began for began, _ in times), max(began for began, _ in times)
    return sum(min(end, last) - min(began, last) for began, end in times) / (workers * (last - first))


def real() -> None:
    print("busy share of the workers")
    for seconds in (0.5, 1.0):
        for backend, workers in (("local", 1), ("optuna", 2), ("optuna", 4)):
            share = busy(backend, workers, seconds)
            print(
                f"trials of {seconds:g} or {2 * seconds:g} s, {backend:6} parallel={workers}: {share:.1%}", flush=True
            )


def main() -> None:
    blind = {name: median(best_after("random", name, 1, seed) for seed in SEEDS) for name in SPACES}
    print(f"regret after {TRIALS} trials as a share of random search's, median of {len(SEEDS)} seeds")
    print("lag".rjust(4), *(name.rjust(14) for name in SPACES), "geom. mean".rjust(12))
    for lag in LAGS:
        shares = [median(best_after("tpe", name, lag, seed) for seed in SEEDS) / blind[name] for name in SPACES]
        print(f"{lag:4}", *(f"{share:14.3f}" for share in shares), f"{geometric_mean(shares):12.3f}")
    print("\nidle share of the workers, trials of length 1 or 2")
    workers = (2, 4, 8)
    print("lag".rjust(4), *(f"{count} workers".rjust(12) for count in workers))
    for lag in LAGS:
        print(f"{lag:4}", *(f"{idle(lag, count):12.1%}" if lag >= count else "-".rjust(12) for count in workers))


if __name__ == "__main__":
    real() if sys.argv[1:] == ["--real"] else main()
