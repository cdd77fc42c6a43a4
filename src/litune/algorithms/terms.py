"""The terms of a search: what its trial table is a function of, and how it is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from litune.seeds import stream

PAUSING = ("asha", "hyperband", "thaw")  # the algorithms that pause trials and continue them


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the trial table is a function of, beside config and space; fixed when the study is made.

    `first_lag` is the lag of a trial's first leg; None: `lag`. `max_steps` is the steps of a training; 0 where only the
    training can tell.
    """

    algorithm: str
    pruner: str
    seed: int
    seed_per_trial: bool
    lag: int
    threads: int
    max_steps: int
    first_lag: int | None = None
    enqueue: tuple[Mapping[str, Any], ...] = ()
    warm_start: Mapping[str, str] = field(default_factory=dict)  # name -> digest of the earlier runs

    @property
    def in_legs(self) -> bool:
        """Whether trials may be paused and continued."""
        return self.algorithm in PAUSING

    def seed_of(self, number: int) -> int:
        """Return the seed of a trial's training."""
        if self.algorithm == "repeat":
            return stream(self.seed, number // len(self.enqueue))
        return stream(self.seed, number) if self.seed_per_trial else self.seed


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the search is carried out; may differ from one command to the next without changing a trial.

    `trials` limits whole trials, `steps` all legs together, `seconds` all trainings together. `retries` is by the value
    of a FailureClass. `equal_failures`: so many first trials that fail alike end the search, or a first one without the
    metric; 0: neither does.
    """

    trials: int
    parallel: int
    steps: int = 0
    seconds: float | None = None
    reuse: bool = True
    keep_checkpoints: int = 3
    trial_timeout: float | None = None
    timeout: float | None = None
    memory_gb: float | None = None
    devices: tuple[str, ...] = ()  # the GPUs to share out, so many to a trial
    devices_a_trial: int = 1
    retries: Mapping[str, int] = field(default_factory=dict)
    equal_failures: int = 0
