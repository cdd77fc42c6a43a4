"""P5: a worker that was stopped, and whose trial was run again meanwhile, writes nothing when it goes on."""

import os
import signal
from pathlib import Path

from tests.faults.searches import (
    TPE,
    command,
    ended,
    environment,
    finish,
    parent_of,
    processes,
    start,
    state_of,
    table,
    wait_for,
)
from tests.faults.tallies import count, tally


def test_a_stopped_worker_changes_nothing_when_it_goes_on(undisturbed: list[tuple[str, ...]], tmp_path: Path) -> None:
    with tally("P5", "optuna") as one:
        for attempt in range(count(1, 20)):
            with one.attempt():
                runs = tmp_path / str(attempt)
                words = command(runs, *TPE)
                driver = start(words, env=environment(runs))
                assert wait_for(lambda at=runs: ended(at) >= 3, 120)
                family = [pid for pid in processes(runs, driver.pid) if pid != driver.pid]
                [parent] = [pid for pid in family if parent_of(pid) == driver.pid]
                for pid in (parent, *family):  # the warm parent first: it would see its children off
                    os.kill(pid, signal.SIGSTOP)
                driver.kill()
                driver.wait()
                stopped = [pid for pid in family if state_of(pid) == "T"]
                assert parent in stopped
                finish(words)
                before = ledger_files(runs)
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
                assert wait_for(lambda at=runs, it=driver: not processes(at, it.pid), 10)
                assert ledger_files(runs) == before
                assert table(runs) == undisturbed


def ledger_files(runs: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (runs / "it").glob("ledger.db*")}
