"""A PostgreSQL server on a loopback port, run as an unprivileged user, gone with the test that asked for it."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

PLACES = "/usr/lib/postgresql/*/bin"  # where Debian keeps the server's programs


class Absent(Exception):
    """The server cannot be had here; says why."""


@contextlib.contextmanager
def server(directory: Path) -> Iterator[str]:
    """Give the URL of a server's database whose files lie in `directory`."""
    programs = _programs()
    user = _unprivileged()
    data = directory / "data"
    data.mkdir(mode=0o700)
    if user:
        os.chown(data, user.pw_uid, user.pw_gid)
        for place in (directory, *directory.parents):  # it must be able to get there
            if place.stat().st_uid == os.getuid() and place != Path("/"):
                place.chmod(place.stat().st_mode | 0o011)
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    port = _free_port()
    _run([programs / "initdb", "-D", data, "-U", "litune", "-A", "trust", "--no-sync", "-E", "UTF8"], who)
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {data}"
    _run([programs / "pg_ctl", "-D", data, "-w", "-l", data / "log.txt", "-o", options, "start"], who)
    try:
        yield f"postgresql+psycopg://litune@127.0.0.1:{port}/postgres"
    finally:
        with contextlib.suppress(Absent):  # it may have ended by itself
            _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], who)


def _programs() -> Path:
    found = sorted(Path("/").glob(f"{PLACES[1:]}/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise Absent("the PostgreSQL server's programs are not installed")
    return found[-1].parent if found else Path(on_path or "").parent


def _unprivileged() -> pwd.struct_passwd | None:
    """Return whom to run as: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Absent("there is no unprivileged user to run PostgreSQL as")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _run(words: list[object], who: dict[str, object]) -> None:
    with tempfile.TemporaryFile() as said:  # not a pipe, which the server would hold open
        done = subprocess.run([str(word) for word in words], cwd="/", check=False, stdout=said, stderr=said, **who)
        said.seek(0)
        if done.returncode:
            raise Absent(f"{' '.join(map(str, words))} fails: {said.read().decode().strip()[-300:]}")
