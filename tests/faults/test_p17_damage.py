"""P17: a damaged ledger is detected, never read wrong; the doctor says what is wrong with a run, and repairs it."""

import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from litune import cli
from litune.errors import LituneError
from litune.study import runs
from tests import preloaded
from tests.faults.searches import ended, finish, wait_for
from tests.faults.sessions import OVERRIDES, command, left_behind, start
from tests.faults.tallies import count, tally
from tests.in_process import search, table, trials
from tests.preloaded import LITUNE

pytestmark = pytest.mark.usefixtures("adopted")


def doctor(run: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return preloaded.run([*LITUNE, "doctor", str(run), *words], timeout=100)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    finish(command(place, "search.trials=6"))
    with sqlite3.connect(place / "it" / "ledger.db") as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return place / "it"


def test_flipped_bytes_and_cuts_are_detected_or_change_nothing(finished: Path, tmp_path: Path) -> None:
    whole = (finished / "ledger.db").read_bytes()
    truth = runs.read(finished)[2].rows
    copy = tmp_path / "it"
    shutil.copytree(finished, copy, ignore=shutil.ignore_patterns("trials", "ledger.db*"))
    detected = 0
    with tally("P17", "SQLite") as one:
        for place in range(count(120, 200)):
            for file in copy.glob("ledger.db*"):
                file.unlink()
            at = one.rng.randrange(len(whole))
            flipped = whole[:at] + bytes([whole[at] ^ 1 << one.rng.randrange(8)]) + whole[at + 1 :]
            (copy / "ledger.db").write_bytes(flipped if place % 3 else whole[:at])
            with one.attempt():
                try:
                    found = runs.read(copy)[2].rows
                except LituneError:
                    detected += 1
                    continue
                for number, row in found.items():
                    assert row.fingerprint() == truth[number].fingerprint(), f"byte {at}"
                assert set(found) == set(truth), f"byte {at}"
    assert detected


def test_the_doctor_finds_a_damaged_row_and_a_damaged_file(finished: Path, tmp_path: Path) -> None:
    assert doctor(finished).returncode == 0
    copy = tmp_path / "it"
    shutil.copytree(finished, copy)
    with sqlite3.connect(copy / "ledger.db") as ledger:
        ledger.execute("update trial_values set value = value + 1e-9 where trial_id = 3")
    found = doctor(copy, "--fix")
    assert found.returncode == 1
    assert "trial 2 does not match its fingerprint" in found.stdout
    (copy / "ledger.db").write_bytes(b"no database at all")
    found = doctor(copy)
    assert found.returncode == 1
    assert "not a database" in found.stdout
    assert "Traceback" not in found.stderr


def rename(run: Path) -> None:
    run.rename(run.with_name("other"))


def edit(file: str, before: str, after: str) -> Callable[[Path], object]:
    def do(run: Path) -> None:
        text = (run / file).read_text()
        assert before in text
        (run / file).write_text(text.replace(before, after))

    return do


def unbegin(run: Path) -> None:
    with sqlite3.connect(run / "ledger.db") as ledger:
        ledger.execute("DELETE FROM study_user_attributes WHERE key = 'litune'")
        ledger.execute("DELETE FROM trials")
    shutil.rmtree(run / "trials")


DAMAGES = {  # how; what is said of it; whether --fix mends it
    "renamed": (rename, ["no search 'other' in it", "rename it back"], True),
    "no ledger": (lambda run: (run / "ledger.db").unlink(), ["ledger.db: there is no such file", "from a copy"], False),
    "an empty ledger": (lambda run: (run / "ledger.db").write_bytes(b""), ["there is no search 'it' in it"], False),
    "no config": (
        lambda run: (run / "config.yaml").unlink(),
        ["config.yaml: got no such file", "writes it anew"],
        False,
    ),
    "no space": (lambda run: (run / "space.json").unlink(), ["space.json: got no such file", "writes it anew"], False),
    "a broken config": (edit("config.yaml", "seed: ", "seed: ["), ["config.yaml:", "valid YAML", "remove it"], False),
    "an edited config": (
        edit("config.yaml", "seed: 42", "seed: 43"),
        ["config.yaml: seed: got 43; expected 42"],
        False,
    ),
    "an edited space": (edit("space.json", "5", "4"), ["space.json: space.model.k._value: got [0, 4]"], False),
    "killed at its start": (unbegin, ["killed before its first trial", "the search's own command begins it"], False),
    "no lock": (lambda run: (run / "lock").unlink(), [], True),
    "a log of no trial": (lambda run: (run / "trials" / "x").touch(), ["trials/x: of no trial in the ledger"], True),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_the_doctor_names_each_damage_with_its_cure(case: str, finished: Path, tmp_path: Path, capsys) -> None:
    damage, said, mended = DAMAGES[case]
    shutil.copytree(finished, tmp_path / "it")
    damage(tmp_path / "it")
    [run] = tmp_path.iterdir()
    held = (run / "ledger.db").exists()
    code = cli.main(["doctor", str(run)])
    told = "".join(capsys.readouterr())
    assert [text for text in said if text not in told] == []
    assert code != 0 or not said
    assert "Traceback" not in told
    assert (run / "ledger.db").exists() == held  # looking makes none
    assert (cli.main(["doctor", str(run), "--fix"]) == 0) == mended
    assert (cli.main(["doctor", str(tmp_path / "it")]) == 0) == mended


@pytest.mark.parametrize(
    ("file", "kept"),
    [("config.yaml", ""), ("config.yaml", "objective:"), ("config.yaml", "backend:"), ("space.json", "")],
)
def test_a_file_that_was_cut_is_told_and_written_anew_by_the_same_command(
    file: str, kept: str, finished: Path, tmp_path: Path, capsys
) -> None:
    """It is cut before `kept`, or empty."""
    shutil.copytree(finished, tmp_path / "it")
    text = (finished / file).read_text()
    (tmp_path / "it" / file).write_text(text.partition(kept)[0] if kept else "")
    assert cli.main(["doctor", str(tmp_path / "it")]) == 1
    assert file in capsys.readouterr().out
    search(tmp_path, *OVERRIDES, "search.trials=6")
    assert cli.main(["doctor", str(tmp_path / "it")]) == 0
    assert runs.read(tmp_path / "it")[0].objective == runs.read(finished)[0].objective


def test_the_doctor_lists_what_a_killed_driver_left_and_repairs_it(tmp_path: Path) -> None:
    driver = start(tmp_path)
    assert wait_for(lambda: ended(tmp_path) >= 2, 150)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not left_behind()
    run = tmp_path / "it"
    before = {row["number"] for row in trials(run) if row["state"] == "RUNNING"}
    (run / "trials" / "0999").mkdir()
    (run / "leftovers" / "0999" / "of an earlier crash").mkdir(parents=True)
    (run / "warm.sock").touch()
    stray = subprocess.Popen(["sleep", "600"], env={"LITUNE_TRIAL": str(run / "trials" / "0001")})
    found = doctor(run)
    assert found.returncode == 1
    for word in ("trials/0999", "warm.sock", f"process {stray.pid}", *(["recorded as running"] if before else [])):
        assert word in found.stdout
    assert doctor(run, "--fix").returncode == 0
    assert stray.wait(timeout=10) == -signal.SIGKILL
    assert doctor(run).stdout == "it: all is well\n"
    assert {row["number"] for row in trials(run) if row["state"] == "PAUSED"} == before
    finish(command(tmp_path))
    assert {row[2] for row in table(run)} <= {'"COMPLETE"', '"PRUNED"'}
