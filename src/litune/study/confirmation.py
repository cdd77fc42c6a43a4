"""What retraining the best trials on fresh seeds says of them: mean, interval, and how much the search flattered them.

A confirmation is a search of its own in RUN/confirm/NUMBERS, named after the trials that it trains again: trial n of it
is candidate n % k with seed n // k, so that all candidates share their seeds (docs/decisions/confirm.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from litune.errors import InputError, LedgerDamaged
from litune.objective import Objective
from litune.study import runs
from litune.table import TrialRow, digest, leaderboard
from litune.trial import TrialState

DIRECTORY = "confirm"
_SURE = 0.975  # quantile of Student's t for an interval of 95%


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its 95% t-interval, which a single value does not have: then it is infinite."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One trial of the search, and its scores by seed (0, 1, ...). `failed` trainings have none.

    gap: how much better its score in the search was than the mean, whichever direction is better.
    """

    row: TrialRow
    scores: Mapping[int, float]
    failed: int
    confirmed: Interval
    gap: float


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The candidates, the best mean first (those with failures last), and the first one's lead over the second.

    lead: the mean difference over the seeds that both have, positive where the first is better; None for one candidate.
    """

    directory: Path
    candidates: tuple[Candidate, ...]
    lead: Interval | None
    digest: str

    @property
    def winner(self) -> Candidate:
        """The candidate with the best mean."""
        return self.candidates[0]


def candidates(rows: Mapping[int, TrialRow], objective: Objective, top: int) -> list[TrialRow]:
    """Return the best trials with params of their own, the best first."""
    found: list[TrialRow] = []
    for row in leaderboard(rows.values(), maximize=objective.maximize):
        if not row.schedule and all(row.params != other.params for other in found):
            found.append(row)
    return found[:top]


def latest(directory: Path, rows: Mapping[int, TrialRow], objective: Objective) -> Confirmation | None:
    """Return the run's confirmation with the most trainings, of those that its best trial is part of."""
    best = leaderboard(rows.values(), maximize=objective.maximize)[:1]
    found = [
        one
        for one in _recorded(directory, rows, objective)
        if any(candidate.row.params == row.params for candidate in one.candidates for row in best)
    ]
    return max(found, key=lambda one: (sum(len(each.scores) for each in one.candidates), one.directory), default=None)


def chosen(
    directory: Path, rows: Mapping[int, TrialRow], objective: Objective
) -> tuple[TrialRow | None, Confirmation | None]:
    """Return the run's best trial, the confirmed one if there is a confirmation, and the confirmation."""
    confirmation = latest(directory, rows, objective)
    if confirmation:
        return confirmation.winner.row, confirmation
    board = leaderboard(rows.values(), maximize=objective.maximize)
    return (board[0] if board else None), None


def summarize(
    directory: Path, again: Mapping[int, TrialRow], originals: Sequence[TrialRow], objective: Objective
) -> Confirmation | None:
    """Return what the trainings `again` say of the original trials; None until each has two scores or has failed."""
    found: list[Candidate] = []
    for place, original in enumerate(originals):
        mine = {number // len(originals): row for number, row in again.items() if number % len(originals) == place}
        scores = {
            round_: row.score
            for round_, row in sorted(mine.items())
            if row.state is TrialState.COMPLETE and row.score is not None and math.isfinite(row.score)
        }
        failed = sum(row.ended for row in mine.values()) - len(scores)
        if len(scores) + failed < 2:
            return None
        if scores:
            confirmed = interval(list(scores.values()))
            gap = objective.sign * ((original.score or 0.0) - confirmed.mean)
            found.append(Candidate(row=original, scores=scores, failed=failed, confirmed=confirmed, gap=gap))
    if not found:
        return None
    found.sort(key=lambda one: (one.failed, -objective.sign * one.confirmed.mean))
    lead = _lead(found, objective)
    return Confirmation(directory=directory, candidates=tuple(found), lead=lead, digest=digest(again.values()))


def _lead(found: Sequence[Candidate], objective: Objective) -> Interval | None:
    """Return how much better the first candidate is than the second over the seeds that both have."""
    if len(found) < 2:
        return None
    first, second = found[0].scores, found[1].scores
    shared = [objective.sign * (first[round_] - second[round_]) for round_ in first if round_ in second]
    return interval(shared) if shared else None


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of at least one value, and its 95% t-interval."""
    mean = fmean(values)
    if len(values) < 2:
        return Interval(mean=mean, low=-math.inf, high=math.inf)
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, _SURE)) * stdev(values) / math.sqrt(len(values))
    return Interval(mean=mean, low=mean - half, high=mean + half)


def _recorded(directory: Path, rows: Mapping[int, TrialRow], objective: Objective) -> Iterator[Confirmation]:
    for path in sorted((directory / DIRECTORY).glob("*/config.yaml")):
        try:
            _, _, ledger = runs.read(path.parent)
        except (InputError, LedgerDamaged):  # a kill may have come before there was a ledger
            continue
        terms: Mapping[str, Any] = ledger.about["terms"]
        originals = [rows[int(number)] for number in path.parent.name.split("-")]
        found = summarize(path.parent, ledger.rows, originals, objective)
        if found and [row.params for row in originals] == terms["enqueue"]:
            yield found
