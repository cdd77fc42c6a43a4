"""P9, of the ledger alone: an interruption at any line of it leaves nothing half done, in memory or on disk."""

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
import pytest

from litune.study import ledger as ledgers
from litune.study import optuna_tables
from litune.study.ledger import Ledger
from litune.trial import TrialState
from tests.faults import writer
from tests.faults.tallies import count, tally

INTERRUPTION = signal.SIGHUP


def test_a_ledger_that_is_interrupted_at_any_line_is_whole(tmp_path: Path) -> None:
    before = signal.signal(INTERRUPTION, signal.default_int_handler)
    url = ledgers.storage_url(tmp_path, None)
    ledger = writer.opened(url, "it")
    try:
        writer.record(ledger, 0)  # the first one fills caches
        lines = range(1, traced(lambda: writer.record(ledger, 1), at=0) + 1)
        with tally("P9", "ledger") as one:
            for line in one.rng.sample(lines, count(30, len(lines))):
                with one.attempt():
                    stop_and_continue(ledger, url, line)
    finally:
        signal.signal(INTERRUPTION, before)
        ledger.close()


def stop_and_continue(ledger: Ledger, url: str, line: int) -> None:
    number = len(ledger.rows)
    with pytest.raises(KeyboardInterrupt):
        traced(lambda: writer.record(ledger, number), at=line)
    for row in [row for row in ledger.rows.values() if not row.ended]:  # as the study does
        ledger.record(replace(row, state=TrialState.PAUSED), writer.SPACE)
    ledger.commit()
    again = Ledger(url, "it")
    again.close()
    assert again.rows == ledger.rows
    assert [trial.number for trial in optuna.load_study(study_name="it", storage=url).trials] == sorted(ledger.rows)
    for number, row in list(ledger.rows.items()):
        if not row.ended:
            writer.record(ledger, number)
    assert writer.check(ledger) == len(ledger.rows)


def traced(action: Callable[[], None], *, at: int) -> int:
    """Carry out the action, interrupted at the so-manieth line of the ledger's code; return how many there were."""
    lines = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename not in (ledgers.__file__, optuna_tables.__file__):
            return None
        if event == "line":
            lines += 1
            if lines == at:
                signal.raise_signal(INTERRUPTION)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return lines
