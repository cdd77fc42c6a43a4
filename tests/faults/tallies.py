"""How often a fault was tried and survived: a small count fails at once, the full count is told as it is."""

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

FULL = int(os.environ.get("LITUNE_FAULTS_FULL", 0))  # how many of the full count; 0 is the small one


@dataclass
class Tally:
    """The attempts at one promise on one backend, and the seed of their random instants."""

    promise: str
    backend: str
    seed: int
    tried: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    @contextlib.contextmanager
    def attempt(self, faults: int = 1) -> Iterator[None]:
        """Count what happens inside as so many faults, survived if nothing is raised."""
        self.tried += faults
        try:
            yield
        except Exception as error:
            if not FULL:
                raise
            self.lost.append(f"{type(error).__name__}: {error}")
            return
        self.survived += faults


def count(small: int, full: int) -> int:
    """Return how many faults to try: few in CI, many with --full."""
    return min(full, FULL) if FULL else small


TALLIES: list[Tally] = []


def totals() -> dict[tuple[int, str], tuple[int, int]]:
    """Return how many faults were tried and survived, by the promise's number and the backend."""
    sums: dict[tuple[int, str], tuple[int, int]] = {}
    for one in TALLIES:
        key = (int(one.promise[1:]), one.backend)
        tried, survived = sums.get(key, (0, 0))
        sums[key] = (tried + one.tried, survived + one.survived)
    return sums


@contextlib.contextmanager
def tally(promise: str, backend: str) -> Iterator[Tally]:
    """Give the tally of one promise on one backend; fail at its end if anything was lost."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    one = Tally(promise=promise, backend=backend, seed=seed)
    TALLIES.append(one)
    yield one
    if one.lost:
        pytest.fail(f"{len(one.lost)} of {one.tried} lost: " + "\n".join(one.lost[:5]), pytrace=False)
    assert one.survived == one.tried > 0
