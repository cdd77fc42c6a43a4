"""P13: a clock that jumps by a day, forth and back, ends nothing and changes nothing."""

import os
from pathlib import Path

import pytest

from tests.faults.searches import TPE, command, ended, environment, start, table, wait_for
from tests.faults.tallies import count, tally

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def test_a_clock_that_jumps_changes_nothing(undisturbed: list[tuple[str, ...]], tmp_path: Path) -> None:
    if not LIBRARIES:
        pytest.skip("libfaketime, which makes the clock jump, is not installed")
    with tally("P13", "optuna") as one:
        for attempt in range(count(1, 10)):
            with one.attempt(2):
                runs, clock = tmp_path / str(attempt), tmp_path / "clock"
                clock.write_text("+0")
                fake = {
                    "FAKETIME_TIMESTAMP_FILE": str(clock),
                    "FAKETIME_NO_CACHE": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                }
                variables = environment(runs, LD_PRELOAD=str(LIBRARIES[0]), **fake)
                limits = ["search.timeout=3600", "search.trial_timeout=1800"]
                driver = start(command(runs, *TPE, *limits), env=variables)
                for goal, jump in ((3, "+1d"), (9, "-1d")):
                    assert wait_for(lambda at=goal, where=runs: ended(where) >= at, 120)
                    set_clock(clock, jump)
                assert driver.wait(timeout=200) == 0
                assert table(runs) == undisturbed


def set_clock(clock: Path, jump: str) -> None:
    new = clock.with_suffix(".new")
    new.write_text(jump)
    os.replace(new, clock)  # noqa: PTH105 - at once, for a reader in between
