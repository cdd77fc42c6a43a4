"""P16: thousands of trials take little disk and memory. What they take of time, benchmarks/driver.py measures."""

import tracemalloc
from pathlib import Path

from litune import ledger as ledgers
from litune.table import TrialRow
from litune.trial import Outcome, TrialState
from tests.faults.tallies import tally
from tests.faults.writer import REPORTS, SPACE, opened, params, value

TRIALS = 5_000
KILOBYTES = 1.5  # of disk, a trial of 2 params and 5 reports
MEGABYTES = 20  # of memory, all trials


def test_thousands_of_trials_take_little_disk_and_memory(tmp_path: Path) -> None:
    with tally("P16", "SQLite") as one, one.attempt():
        ledger = opened(ledgers.storage_url(tmp_path, None), "it")
        tracemalloc.start()
        for number in range(TRIALS):
            row = TrialRow(number=number, state=TrialState.RUNNING, params=params(number), seed=1, started=1.0)
            ledger.start(row, SPACE)
            history = {step: value(number, step) for step in range(1, REPORTS + 1)}
            ledger.finish(number, Outcome(state=TrialState.COMPLETE, score=history[REPORTS], history=history))
            if number % 50 == 49:
                ledger.commit()
        taken = tracemalloc.get_traced_memory()[0] / 2**20
        tracemalloc.stop()
        ledger.close()
        size = sum(path.stat().st_size for path in tmp_path.glob("ledger.db*")) / 1024
        assert size / TRIALS < KILOBYTES
        assert taken < MEGABYTES
        assert len(opened(ledgers.storage_url(tmp_path, None), "it").rows) == TRIALS
