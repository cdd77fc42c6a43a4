"""A process that writes trials into a ledger and says what is durable: `python -m tests.faults.writer RUN TRIALS`."""

import sys
from pathlib import Path

from litune.space.space import Space, uniform
from litune.study import ledger as ledgers
from litune.study.ledger import Ledger
from litune.table import TrialRow
from litune.trial import Outcome, TrialState

SPACE = Space.of({"model.x": uniform(0, 1), "model.y": uniform(0, 1)})
REPORTS = 5


def opened(url: str, name: str) -> Ledger:
    """Make the study unless it is there, and open it."""
    return ledgers.create(url, name, maximize=True, metric="score", about={})


def record(ledger: Ledger, number: int) -> None:
    """Record a trial as the driver does: its start, each report and its end are durable when they are made."""
    begin(ledger, number)
    end(ledger, number)


def begin(ledger: Ledger, number: int) -> None:
    """Record the start of a trial."""
    new = TrialRow(number=number, state=TrialState.RUNNING, params=params(number), seed=number, started=1.0)
    ledger.record(ledger.rows.get(number, new), SPACE)  # an interrupted one is run again under its number
    ledger.commit()


def end(ledger: Ledger, number: int) -> None:
    """Record the reports and the end of a trial that was begun."""
    for step in range(1, REPORTS + 1):
        ledger.report(number, step, value(number, step))
        ledger.commit()
    history = {step: value(number, step) for step in range(1, REPORTS + 1)}
    ledger.finish(number, Outcome(state=TrialState.COMPLETE, score=value(number, REPORTS), history=history))
    ledger.commit()


def params(number: int) -> dict[str, float]:
    """Return the params of a trial."""
    return {"model.x": number / 7 % 1, "model.y": number / 11 % 1}


def value(number: int, step: int) -> float:
    """Return what a trial reports."""
    return number + step / 10


def check(ledger: Ledger) -> int:
    """Return how many trials have ended; fail if one holds what was not written."""
    for number, row in ledger.rows.items():
        assert row.params == params(number)
        assert all(row.history[step] == value(number, step) for step in row.history)
        assert not row.ended or (len(row.history) == REPORTS and row.score == value(number, REPORTS))
    return sum(row.ended for row in ledger.rows.values())


def main() -> None:
    """Write the trials that are missing, and print the number of each that is durable."""
    ledger = opened(ledgers.storage_url(Path(sys.argv[1]), None), "it")
    for number in range(check(ledger), int(sys.argv[2])):
        record(ledger, number)
        print(number, flush=True)
    ledger.close()


if __name__ == "__main__":
    main()
