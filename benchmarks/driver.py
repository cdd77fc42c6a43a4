"""python benchmarks/driver.py: what the driver costs a trial, in CPU milliseconds, and how it grows.

record   one trial of 8 params and 5 reports into SQLite: litune's ledger beside Optuna's storage, call by call
suggest  the next trial's params and its row in the ledger, with so many trials ended
open     reading a ledger of 5,000 trials with 5 reports
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna

from litune.algorithms.suggest import Suggester
from litune.space.distributions import completed
from litune.space.space import Space, choice, loguniform, randint, uniform
from litune.study import ledger as ledgers
from litune.study.ledger import Ledger
from litune.table import TrialRow
from litune.trial import Outcome, TrialState

SPACE = Space.of(
    {
        **{f"lr{i}": loguniform(1e-5, 1) for i in range(3)},
        **{f"dropout{i}": uniform(0, 1) for i in range(3)},
        "hidden": randint(8, 512),
        "kind": choice("a", "b", "c"),
    }
)
REPORTS = 5
PARAMS = [completed(SPACE, {}, number, 1) for number in range(1_000)]
RNG = random.Random(0)


def cpu_ms(work: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times * 1000


def outcome() -> Outcome:
    history = {step: RNG.random() for step in range(1, REPORTS + 1)}
    return Outcome(state=TrialState.COMPLETE, score=max(history.values()), history=history)


def record(ledger: Ledger, params: dict[str, object] | None = None) -> None:
    """Record one trial as the driver does: its start, each report, and its end are durable when they are made."""
    number = len(ledger.rows)
    params = params or PARAMS[number % len(PARAMS)]
    ledger.record(TrialRow(number=number, state=TrialState.RUNNING, params=params, seed=1, started=1.0), SPACE)
    ledger.commit()
    ended = outcome()
    for step, value in ended.history.items():
        ledger.report(number, step, value)
        ledger.commit()
    ledger.finish(number, ended)
    ledger.commit()


def record_by_optuna(study: optuna.Study) -> None:
    trial = study.ask()
    for name in (f"{kind}{i}" for kind in ("lr", "dropout") for i in range(3)):
        trial.suggest_float(name, 1e-5, 1)
    trial.suggest_int("hidden", 8, 511)
    trial.suggest_categorical("kind", ["a", "b", "c"])
    ended = outcome()
    for step, value in ended.history.items():
        trial.report(value, step)
    trial.set_user_attr("litune", {"seed": 1, "where": "host:1"})
    study.tell(trial, ended.score)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        url = ledgers.storage_url(Path(root), None)
        ledger = ledgers.create(url, "it", metric="score", maximize=True, about={})
        sampler = optuna.samplers.RandomSampler(seed=1)
        study = optuna.create_study(storage=f"sqlite:///{root}/optuna.db", sampler=sampler)
        print(f"record: litune {cpu_ms(lambda: record(ledger), 200):.1f} ms a trial")
        print(f"record: Optuna's storage {cpu_ms(lambda: record_by_optuna(study), 100):.1f} ms a trial")
        for ended in (1_000, 5_000):
            for algorithm in ("random", "tpe"):
                suggester = Suggester(algorithm, SPACE, seed=1, lag=4, maximize=True)
                outcomes = [outcome() for _ in range(ended + 20)]
                for number in range(ended):
                    suggester.restore(number, PARAMS[number % len(PARAMS)], outcomes.__getitem__)
                suggester.suggest(ended, outcomes.__getitem__)  # tells the model of all that ended before
                numbers = iter(range(ended + 1, ended + 20))

                def next_trial(ask: Suggester = suggester, at: object = numbers, seen: object = outcomes) -> None:
                    record(ledger, ask.suggest(next(at), seen.__getitem__))  # type: ignore[call-overload, attr-defined]

                print(f"suggest + record: {algorithm}, {ended} ended: {cpu_ms(next_trial, 10):.1f} ms")
        while len(ledger.rows) < 5_000:
            record(ledger)
        ledger.close()
        print(f"open: {cpu_ms(lambda: Ledger(url, 'it').close(), 3):.0f} ms for {len(ledger.rows)} trials")
        size = sum(path.stat().st_size for path in Path(root).glob("ledger.db*"))
        print(f"size: {size / len(ledger.rows) / 1024:.2f} KB a trial")


if __name__ == "__main__":
    main()
