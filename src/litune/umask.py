"""What litune writes is its owner's alone, whatever the umask of a user's shell: files 0600, directories 0700."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

_PRIVATE = 0o077


def be_private() -> None:
    """Write so from now on, in a process of our own."""
    _set(_PRIVATE)


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Write so meanwhile."""
    before = _set(_PRIVATE)
    try:
        yield
    finally:
        _set(before)


def _set(mask: int) -> int:
    """Set the umask, and return the one before."""
    before = os.umask(mask)
    # fsspec, by which Lightning writes checkpoints, keeps the umask that it saw first
    local: Any = sys.modules.get("fsspec.implementations.local")
    if forget := getattr(getattr(local, "get_umask", None), "cache_clear", None):
        forget()
    return before
