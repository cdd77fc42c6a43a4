"""P16: thousands of trials take little disk and memory. What they take of time, benchmarks/driver.py measures."""

import random
import time
import tracemalloc
from pathlib import Path

from litune.space.space import Space, uniform
from litune.study import ledger as ledgers
from litune.table import TrialRow
from litune.trial import Outcome, TrialState
from tests.faults.tallies import tally
from tests.faults.writer import opened

REPORTS = 5
SPACE = Space.of({f"model.param{number}": uniform(0, 1) for number in range(8)})

TRIALS = 5_000
KILOBYTES = 1.5  # of disk, a trial of 8 params and 5 reports
MEGABYTES = 20  # of memory, all trials


def test_thousands_of_trials_take_little_disk_and_memory(tmp_path: Path) -> None:
    with tally("P16", "SQLite") as one, one.attempt():
        ledger = opened(ledgers.storage_url(tmp_path, None), "it")
        rng = random.Random(1)
        tracemalloc.start()
        for number in range(TRIALS):
            params = {name: rng.random() for name in SPACE.names}
            row = TrialRow(number=number, state=TrialState.RUNNING, params=params, seed=number, started=time.time())
            ledger.record(row, SPACE)
            history = {step: rng.random() for step in range(1, REPORTS + 1)}
            how = {"seconds": rng.random(), "where": "a-machine-of-ours:12345"}
            ledger.finish(number, Outcome(state=TrialState.COMPLETE, score=history[REPORTS], history=history, **how))
            if number % 50 == 49:
                ledger.commit()
        taken = tracemalloc.get_traced_memory()[0] / 2**20
        tracemalloc.stop()
        ledger.close()
        size = sum(path.stat().st_size for path in tmp_path.glob("ledger.db*")) / 1024
        print(f"{size / TRIALS:.2f} KB of disk a trial, {taken:.1f} MB of memory")
        assert size / TRIALS < KILOBYTES
        assert taken < MEGABYTES
        assert len(opened(ledgers.storage_url(tmp_path, None), "it").rows) == TRIALS
