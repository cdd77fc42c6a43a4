"""P6: any number of processes open or create one study at once."""

import multiprocessing
from pathlib import Path

import pytest

from litune.study import ledger as ledgers
from tests.faults.tallies import count, tally
from tests.faults.writer import opened

PROCESSES = 16


def open_one(url: str, name: str, start, answers) -> None:
    start.wait()
    try:
        opened(url, name).close()
        answers.put("")
    except BaseException as error:
        answers.put(repr(error))
        raise


def open_at_once(url: str, names: list[str]) -> list[str]:
    """Return what the processes had to say: nothing for each that got its study."""
    fork = multiprocessing.get_context("fork")
    start, answers = fork.Barrier(len(names)), fork.Queue()
    family = [fork.Process(target=open_one, args=(url, name, start, answers)) for name in names]
    for one in family:
        one.start()
    said = [answers.get(timeout=60) for _ in family]
    for one in family:
        one.join()
    return said


@pytest.mark.parametrize("names", [["it"] * PROCESSES, [f"it-{n}" for n in range(PROCESSES)]], ids=["one", "many"])
def test_processes_that_open_a_new_database_at_once_all_get_their_study(names: list[str], tmp_path: Path) -> None:
    with tally("P6", "SQLite") as one:
        for attempt in range(count(2, 50)):
            with one.attempt():
                run = tmp_path / str(attempt)
                run.mkdir()
                assert open_at_once(ledgers.storage_url(run, None), names) == [""] * PROCESSES


def test_processes_that_open_a_study_in_postgresql_at_once_all_get_it(postgresql: str, empty) -> None:
    with tally("P6", "PostgreSQL") as one:
        for attempt in range(count(4, 50)):
            with one.attempt():
                empty(postgresql)
                names = ["it"] * PROCESSES if attempt % 2 else [f"it-{n}" for n in range(PROCESSES)]
                assert open_at_once(postgresql, names) == [""] * PROCESSES
