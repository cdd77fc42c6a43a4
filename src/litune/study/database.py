"""The database of a ledger: opening it, one process at a time and durably, and saying what is wrong with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage

from litune.errors import LedgerDamaged, SearchAbsent

_OPENING = 0x6C6974756E65  # the number of the lock in PostgreSQL: "litune"


def opened(url: str) -> RDBStorage:
    """Return Optuna's storage."""
    with alone(url):
        return storage(url)


def storage(url: str) -> RDBStorage:
    """Return Optuna's storage, made if it is not there, whose commits are durable; alone() must be held."""
    made = RDBStorage(url)
    if made.engine.name == "sqlite":
        sa.event.listen(made.engine, "connect", _durable)
        made.engine.dispose()  # connections made from here on are durable
    return made


@contextlib.contextmanager
def alone(url: str) -> Iterator[None]:
    """Keep other processes from opening the database meanwhile: whoever opens a new one makes its tables."""
    with contextlib.ExitStack() as stack:
        if file := file_of(url):
            try:
                directory = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                cure = f"have {file.parent} there and readable, and give the same command again"
                raise LedgerDamaged(f"{file}: cannot be used as a ledger: {error.strerror}", cure) from error
            stack.callback(os.close, directory)
            fcntl.flock(directory, fcntl.LOCK_EX)
        elif sa.engine.make_url(url).get_backend_name() == "postgresql":
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            connection = stack.enter_context(engine.connect())  # the lock ends with it
            connection.execute(sa.select(sa.func.pg_advisory_lock(_OPENING)))
        yield


def _durable(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


@contextlib.contextmanager
def at_one_moment(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Connect so that all statements see the database as it was at the first, whatever others commit meanwhile."""
    with engine.connect() as connection:
        if engine.name == "sqlite":
            connection.exec_driver_sql("BEGIN")  # sqlite3 begins a transaction for writing only
        else:
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise LedgerDamaged for what the database or Optuna raises meanwhile."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, UnicodeError) as error:
        what = f"{place(url)}: cannot be used as a ledger: {cause(error)}"
        if sa.engine.make_url(url).get_backend_name() == "sqlite":
            if not os.access(Path(place(url)).parent, os.W_OK):
                cure = "SQLite writes beside it, even to read: copy the run to a directory that can be written to"
                raise LedgerDamaged(what, cure) from error
            raise LedgerDamaged(what) from error
        raise LedgerDamaged(what, "have the database reachable, and give the same command again") from error


def url_of(database: str, **options: str) -> str:
    """Return the URL of a SQLite database, whatever letters its name has."""
    return sa.URL.create("sqlite", database=database, query=options).render_as_string()


def uri_of(file: Path) -> str:
    """Return the URI by which SQLite itself opens a file read-only (sqlite.org/uri.html), but for the options."""
    return f"file:{quote(str(file))}"


def file_of(url: str) -> Path | None:
    """Return the file that holds a SQLite database; None for what is in memory, named by a URI, or on a server."""
    parsed = sa.engine.make_url(url)
    name = parsed.database or ""
    if parsed.get_backend_name() != "sqlite" or name in ("", ":memory:") or name.startswith("file:"):
        return None
    return Path(name)


def anchored(url: str) -> str:
    """Return the URL with the path of a SQLite file absolute, so that it means the same in every directory."""
    file = file_of(url)
    if file is None or file.is_absolute():
        return url
    return sa.engine.make_url(url).set(database=str(file.absolute())).render_as_string()


def place(url: str) -> str:
    """Return the file of a SQLite ledger, else its URL without the password."""
    parsed = sa.engine.make_url(url)
    return parsed.database or "" if parsed.get_backend_name() == "sqlite" else parsed.render_as_string()


def cause(error: Exception) -> str:
    """Return what the database said, without the statement that it was said to."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(getattr(error, "orig", None) or error).strip()


def absent(url: str, name: str, names: Sequence[str]) -> SearchAbsent:
    """Return the error of a study that is not in the database, which holds those of these names."""
    if len(names) == 1:
        cure = f"the one in it is {names[0]!r}: a run directory keeps its name, so rename it back to that"
    else:
        cure = "the ledger was emptied or replaced, or the directory renamed: take that back, or give another name="
    return SearchAbsent(f"{place(url)}: there is no search {name!r} in it", cure, names)
