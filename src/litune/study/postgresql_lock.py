"""One driver a search, where drivers on several machines share a PostgreSQL and have no directory in common."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import sqlalchemy as sa

from litune.errors import Problem, StudyLocked
from litune.study import database, lock

_SEARCHES = 0x6C697475  # a lock has two numbers: this one, "litu", and a hash of the study's name
_TRY = "SELECT pg_try_advisory_lock(:searches, hashtext(:name))"
_HOLDER = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND datname = current_database() AND database = datid
AND classid::bigint = :searches AND objid::bigint = hashtext(:name)::bigint & 4294967295
"""
_LONGEST = 63  # bytes of an application_name
_KEEPALIVE = {"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}  # seconds


@contextlib.contextmanager
def held(url: str, name: str) -> Iterator[None]:
    """Hold the study of this name; raise StudyLocked with the holder's pid and host where another driver has it.

    It is an advisory lock of a connection (postgresql.org/docs, Explicit Locking), so it ends with this process, and
    half a minute after this machine has gone. Other databases have none.
    """
    if sa.engine.make_url(url).get_backend_name() != "postgresql":
        yield
        return
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    study = {"searches": _SEARCHES, "name": name}
    me = lock.described(os.getpid(), socket.gethostname())[:_LONGEST]
    with contextlib.ExitStack() as stack:
        with database.translated(url):
            connection = stack.enter_context(engine.connect())
            for setting, value in {"application_name": me, **_KEEPALIVE}.items():
                connection.execute(sa.select(sa.func.set_config(setting, value, False)))
            if not connection.scalar(sa.text(_TRY), study):
                got = connection.scalar(sa.text(_HOLDER), study) or lock.SOMEBODY
                where, cure = f"{database.place(url)}: {name}", "wait for it, end it, or give another name="
                raise StudyLocked(Problem(where=where, got=got, expected="none", cure=cure))
        yield
