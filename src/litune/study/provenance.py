"""Where a search came from, for its report: the command that began it, and the commit of the code it ran in."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_SECONDS = 5.0
_STORAGE = "search.storage="


def command() -> str:
    """Return this process's command line, without the password of a database's URL."""
    program, *words = sys.argv
    return shlex.join([Path(program).name, *map(_without_password, words)])


def commit() -> str | None:
    """Return the git commit of the current directory, marked where files differ from it; None outside of git."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head} with changes" if _git("status", "--porcelain", "--untracked-files=no") else head


def _without_password(word: str) -> str:
    if not word.startswith(_STORAGE):
        return word
    try:
        return _STORAGE + make_url(word.removeprefix(_STORAGE)).render_as_string(hide_password=True)
    except ArgumentError:
        return word


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=_SECONDS, check=True)  # noqa: S603, S607 - the user's own git
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
