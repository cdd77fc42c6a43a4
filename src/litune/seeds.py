"""Seeds: a random stream of its own for each purpose, from the one seed of the search."""

from __future__ import annotations

import hashlib


def stream(seed: int, *numbers: int) -> int:
    """Return a 32-bit seed of its own for each (seed, numbers...)."""
    text = "/".join(str(number) for number in (seed, *numbers))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
