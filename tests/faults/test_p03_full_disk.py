"""P3: a full disk corrupts nothing, and the message names the path."""

import resource
import subprocess
import sys
from pathlib import Path

from litune.study import ledger as ledgers
from tests.faults.searches import PROJECT, command, finish, table
from tests.faults.tallies import count, tally
from tests.faults.writer import check, opened

TRIALS = 60
WRITER = [sys.executable, "-m", "tests.faults.writer"]


def limited(most: int):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def test_a_ledger_that_cannot_grow_keeps_what_was_durable_and_names_its_path(tmp_path: Path) -> None:
    with tally("P3", "ledger") as one:
        for attempt in range(count(5, 100)):
            with one.attempt():
                run = tmp_path / str(attempt)
                run.mkdir()
                most = one.rng.randrange(1, 900_000)
                words = [*WRITER, str(run), str(TRIALS)]
                done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limited(most), timeout=100)
                durable = len(done.stdout.split())
                assert done.returncode != 0, f"{most} bytes were enough"
                assert f"{run}/ledger.db: " in done.stderr
                ledger = opened(ledgers.storage_url(run, None), "it")  # there is room again
                assert durable <= check(ledger) <= durable + 1
                ledger.close()
                subprocess.run(words, capture_output=True, check=True, timeout=100)
                assert check(opened(ledgers.storage_url(run, None), "it")) == TRIALS


def test_a_search_on_a_full_disk_ends_with_the_path_and_is_continued(tmp_path: Path) -> None:
    words = command(tmp_path, "search.algorithm=random", "search.trials=40", "logger.csv=null")
    for most, named in ((100, f"{tmp_path}/it: File too large"), (250_000, "ledger.db: ")):
        done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, preexec_fn=limited(most), timeout=200)
        assert done.returncode == 1
        assert named in done.stderr
        assert "Traceback" not in done.stderr
        assert (tmp_path / "it" / "config.yaml").exists() == (most > 100)  # never a part of it
    finish(words)
    assert len(table(tmp_path)) == 40
