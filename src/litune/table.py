"""The trial table: what a search found, a row a trial, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from litune.trial import Failure, Outcome, TrialState


class Span(NamedTuple):
    """When a trial ran: wall time in seconds since the epoch, and the seconds from then on."""

    started: float
    seconds: float

    @property
    def ended(self) -> float:
        """Return when it was over."""
        return self.started + self.seconds


class Leg(NamedTuple):
    """A part of a trial: the decision that it follows from, and the step to which it goes."""

    decision: int
    until: int


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial as recorded.

    seconds    wall time of its training; `restoring` is the part of it before continued trainings went on
    started    when it was last started
    spans      each time that it ran to its end or that of a leg, in all `seconds`; none for a trial that was answered
    attempt    how often it was started again
    retried    class of failure -> how often it was run again because of one
    reused     the trial whose identical training answered it
    schedule   as in Outcome, for a training whose params changed on its way
    legs       none for a trial in one go
    resting    it is paused after a leg; a paused trial that does not rest was interrupted within one
    """

    number: int
    state: TrialState
    params: Mapping[str, Any]
    seed: int
    score: float | None = None
    history: Mapping[int, float] = field(default_factory=dict)
    failure: Failure | None = None
    seconds: float = 0.0
    restoring: float = 0.0
    where: str = ""
    attempt: int = 0
    retried: Mapping[str, int] = field(default_factory=dict)
    started: float = 0.0
    spans: tuple[Span, ...] = ()
    reused: int | None = None
    checkpoint: str | None = None
    schedule: tuple[Mapping[str, Any], ...] = ()
    legs: tuple[Leg, ...] = ()
    resting: bool = False

    @property
    def ended(self) -> bool:
        """Whether the trial has its final state."""
        return self.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)

    @property
    def ranked(self) -> bool:
        """Whether its score stands beside others: of a whole training, or of one in legs as far as it has come."""
        return self.score is not None and (bool(self.legs) or self.state is TrialState.COMPLETE)

    def outcome(self) -> Outcome:
        """Return how the trial ended, for one that ends as it did without taking any time."""
        return Outcome(
            state=self.state,
            score=self.score,
            history=self.history,
            failure=self.failure,
            where=self.where,
            checkpoint=self.checkpoint,
            schedule=self.schedule,
        )

    def fingerprint(self) -> str:
        """Return the sha256 of what the trial means: number, params, state, score and history, to the last bit."""
        meaning = [
            self.number,
            sorted(self.params.items()),
            self.state.value,
            None if self.score is None else float(self.score).hex(),
            [[step, float(value).hex()] for step, value in sorted(self.history.items())],
        ]
        if self.schedule:
            meaning.append([dict(part) for part in self.schedule])
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def digest(rows: Iterable[TrialRow]) -> str:
    """Return the sha256 over the trials that have ended: equal digests, the same search."""
    total = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.number):
        if row.ended:
            total.update(row.fingerprint().encode())
    return total.hexdigest()


def leaderboard(rows: Iterable[TrialRow], *, maximize: bool) -> list[TrialRow]:
    """Return the trials that are ranked, the best first; of equal scores the lower number first."""
    ranked = [row for row in rows if row.ranked]
    sign = -1.0 if maximize else 1.0
    return sorted(ranked, key=lambda row: (sign * (row.score or 0.0), row.number))
