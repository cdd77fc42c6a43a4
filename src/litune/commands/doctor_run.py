"""`litune doctor RUN`: its ledger, trials recorded as running that are not, and what killed drivers left behind."""

from __future__ import annotations

import contextlib
import functools
import glob
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from litune import processes, unix_socket
from litune.commands.finding import Finding
from litune.config.schema import NAME_PATTERN
from litune.errors import InputError, LedgerDamaged, Problem, SearchAbsent, StudyLocked
from litune.space.space import Space
from litune.study import identity, lock, runs
from litune.study.database import uri_of
from litune.study.ledger import FILE, Ledger
from litune.trial import TrialState

LEFTOVERS = "leftovers"


def main(run: str, *, fix: bool) -> int:
    """Print what is wrong with a run, and repair what can be if `fix`; return 1 if something is left to do."""
    directory = runs.find(run)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock.held(directory))
        except StudyLocked as error:
            print(f"{error.problems[0].got}: only its ledger is looked at")
            findings = list(_ledger(directory)[0])
        else:
            findings = list(_examine(directory))
        for finding in findings:
            print(f"BAD: {finding.what}")
            if fix and finding.fix:
                finding.fix()
                print(f"     done: {finding.cure}")
            else:
                print(f"     cure: {finding.cure}" + (" (by --fix)" if finding.fix else ""))
    if not findings:
        print(f"{directory.name}: all is well")
    return 1 if any(not (fix and finding.fix) for finding in findings) else 0


def _examine(directory: Path) -> Iterator[Finding]:
    """Yield what is wrong with a run that no driver is at work on."""
    yield from _processes(directory)
    findings, ledger, space = _ledger(directory)
    yield from findings
    if ledger and space:
        yield from _zombies(ledger, space)
        yield from _directories(directory, ledger)
    for name in (unix_socket.DRIVER, unix_socket.PARENT):
        if (directory / name).exists():
            cure = f"remove {name}, which nobody listens at"
            yield Finding(what=f"the socket {name} of a driver that is gone", cure=cure, fix=(directory / name).unlink)


def _ledger(directory: Path) -> tuple[list[Finding], Ledger | None, Space | None]:
    """Return what is wrong with the ledger; and, where it can be read, the ledger and the space."""
    try:
        if said := _integrity(directory / FILE):
            raise LedgerDamaged(f"{directory / FILE}: {said}")
        config, space, ledger = runs.read(directory)
    except SearchAbsent as error:
        return [Finding(what=error.what, cure=error.cure, fix=_renaming(directory, error.names))], None, None
    except LedgerDamaged as error:
        return [Finding(what=error.what, cure=error.cure)], None, None
    except InputError as error:
        if not any((directory / name).exists() for name in (FILE, "space.json")):
            raise  # it is no search
        return _to_mend(error.problems), None, None
    return _to_mend(identity.edited(ledger.about, config, space, directory)), ledger, space


def _to_mend(problems: Sequence[Problem]) -> list[Finding]:
    cure = "restore the file, or remove it: the search's own command writes it anew"
    return [Finding(what=str(replace(problem, cure="")), cure=problem.cure or cure) for problem in problems]


def _renaming(directory: Path, names: Sequence[str]) -> Callable[[], object] | None:
    """Return what gives a renamed run directory back the name of the one search in its ledger, where that is free."""
    if len(names) != 1 or not re.fullmatch(NAME_PATTERN, names[0]):
        return None
    home = directory.with_name(names[0])
    return None if home.exists() else functools.partial(directory.rename, home)


def _integrity(path: Path) -> str:
    """Return what SQLite itself finds wrong with the file; "" for nothing, or where the ledger is elsewhere."""
    if not path.exists():
        return ""
    try:
        with contextlib.closing(sqlite3.connect(f"{uri_of(path)}?mode=ro", uri=True, timeout=30)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.Error as error:
        return str(error)
    return "" if found == ["ok"] else "; ".join(found)


def _zombies(ledger: Ledger, space: Space) -> Iterator[Finding]:
    running = [row for row in ledger.rows.values() if row.state is TrialState.RUNNING]
    if not running:
        return

    def fix() -> None:
        for row in running:
            ledger.record(replace(row, state=TrialState.PAUSED), space)
        ledger.commit()

    numbers = ", ".join(str(row.number) for row in running)
    what = f"recorded as running, but no driver is at work: trials {numbers}"
    yield Finding(what=what, cure="note them as interrupted; the search's command runs them again", fix=fix)


def _directories(directory: Path, ledger: Ledger) -> Iterator[Finding]:
    known = {f"{number:04d}" for number in ledger.rows}
    for path in sorted((directory / "trials").glob("*")):
        if path.name not in known:

            def fix(path: Path = path) -> None:
                (directory / LEFTOVERS).mkdir(mode=0o700, exist_ok=True)
                before = len(list((directory / LEFTOVERS).glob(f"{glob.escape(path.name)}*")))  # of an earlier repair
                path.rename(directory / LEFTOVERS / (f"{path.name}-{before}" if before else path.name))

            what = f"trials/{path.name}: of no trial in the ledger"
            yield Finding(what=what, cure=f"move it to {LEFTOVERS}/", fix=fix)


def _processes(directory: Path) -> Iterator[Finding]:
    for process in processes.of_trial(directory / "trials"):

        def fix(process: processes.Process = process) -> None:
            processes.end(process)

        what = f"process {process.pid}, started by a trial, lives on without a driver"
        yield Finding(what=what, cure=f"kill process {process.pid}", fix=fix)
