"""P7: writers beside each other, a study each in one database, get no error and lose nothing; nor does a reader."""

import itertools
import multiprocessing
from pathlib import Path

import sqlalchemy as sa

from litune.study.ledger import Ledger
from tests.faults.tallies import count, tally
from tests.faults.writer import begin, check, end, opened, record

WRITERS = 16


def write(url: str, name: str, trials: int, start) -> None:
    start.wait()
    ledger = opened(url, name)
    for number in range(trials):
        record(ledger, number)
    ledger.close()


def write_at_once(url: str, trials: int) -> list[int]:
    """Return how many trials of each writer are there in the end."""
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(WRITERS)
    names = [f"writer-{number}" for number in range(WRITERS)]
    family = [fork.Process(target=write, args=(url, name, trials, start)) for name in names]
    for one in family:
        one.start()
    for one in family:
        one.join()
    assert [one.exitcode for one in family] == [0] * WRITERS
    found = []
    for name in names:
        ledger = opened(url, name)
        found.append(check(ledger))
        ledger.close()
    return found


def test_writers_beside_each_other_in_sqlite_lose_nothing(tmp_path: Path) -> None:
    trials = count(5, 50)
    with tally("P7", "SQLite") as one, one.attempt(WRITERS * trials):
        assert write_at_once(f"sqlite:///{tmp_path}/all.db", trials) == [trials] * WRITERS


def test_writers_beside_each_other_in_postgresql_lose_nothing(postgresql: str, empty) -> None:
    trials = count(5, 50)
    with tally("P7", "PostgreSQL") as one, one.attempt(WRITERS * trials):
        empty(postgresql)
        assert write_at_once(postgresql, trials) == [trials] * WRITERS


def read_while_trials_are_written(url: str) -> None:
    """Have a trial end, and one begin, before each statement of a reader, who must see all trials as of one moment."""
    writer, numbers = opened(url, "it"), itertools.count(1)
    begin(writer, 0)
    reading = False

    def go_on(*_statement: object) -> None:
        nonlocal reading
        if reading:
            reading = False
            number = next(numbers)
            end(writer, number - 1)
            begin(writer, number)
            reading = True

    sa.event.listen(sa.Engine, "before_cursor_execute", go_on)
    try:
        reading = True
        reader = Ledger(url, "it")
        reading = False
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", go_on)
    assert 1 <= check(reader) == len(reader.rows) - 1 < next(numbers) - 1  # more ended while it read
    reader.close()
    writer.close()


def test_a_reader_beside_a_writer_in_sqlite_sees_one_moment(tmp_path: Path) -> None:
    read_while_trials_are_written(f"sqlite:///{tmp_path}/it.db")


def test_a_reader_beside_a_writer_in_postgresql_sees_one_moment(postgresql: str, empty) -> None:
    empty(postgresql)
    read_while_trials_are_written(postgresql)
