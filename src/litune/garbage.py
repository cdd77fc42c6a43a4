"""Imports with Python's garbage collection off: torch makes a million objects, Ray a quarter of that, and all stay."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collection_off() -> Iterator[None]:
    """Leave out the searches meanwhile: they took a sixth to a third of the time of an import."""
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # what was made is of the oldest generation now: else the next three searches look through it
        if usual:
            gc.enable()
