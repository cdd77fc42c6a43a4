"""What `litune doctor` finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be; `fix` does what `cure` says, and is None where only a person can."""

    what: str
    cure: str
    fix: Callable[[], object] | None = None
