"""What a search does next: decision k, a pure function of the seed, k, and the results that it may see.

A decision starts a trial or continues one, up to a step. Those whose results may not be seen yet are known by the
params that they try, and how far they go. Trials in one go are the plan of most algorithms: decision k is trial k, and
sees the results of the decisions <= k - lag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from litune.algorithms.decision import Decision, SeenTrial
from litune.algorithms.suggest import Suggester
from litune.table import TrialRow
from litune.trial import TrialState

Rows = Mapping[int, TrialRow]
Decide = Callable[[int, Sequence[SeenTrial], float], Decision | None]  # number, the trials so far, steps left to spend


class Plan(Protocol):
    """Says what is next. `total` is what the search may spend, of which spent() is spent: trials, or steps."""

    total: int

    def prepare(self, rows: Rows) -> None:
        """Make the next decision, if it may be made by now, so that next() has it at hand."""

    def next(self, rows: Rows) -> tuple[int, Decision] | None:
        """Return the next decision and its number, now made; None if none may be before another ends, or ever."""

    def over(self, rows: Rows) -> bool:
        """Say whether no decision is left to be made, given that all that were made have ended."""

    def spent(self, rows: Rows) -> int:
        """Return how much of `total` is spent: ended trials, or the steps of all legs, those that are out included."""


class WholeTrials:
    """Each trial in one go, its params from a Suggester."""

    def __init__(self, suggester: Suggester, rows: Rows, *, lag: int, total: int, steps: int) -> None:
        self.total = total
        self._suggester, self._lag, self._steps = suggester, lag, steps
        self._frontier = 0  # every trial below it has ended
        self._ahead: Decision | None = None
        for number, row in sorted(rows.items()):
            suggester.restore(number, row.params, lambda other: rows[other].outcome())

    def prepare(self, rows: Rows) -> None:
        """Choose the next trial's params, if it may start by now."""
        number = len(rows)
        if self._ahead is None and number < self.total and number - self._lag < self._ended(rows):
            params = self._suggester.suggest(number, lambda other: rows[other].outcome())
            self._ahead = Decision(trial=None, params=params, until=self._steps, why="new")

    def next(self, rows: Rows) -> tuple[int, Decision] | None:
        """Return the next trial."""
        self.prepare(rows)
        decision, self._ahead = self._ahead, None
        return (len(rows), decision) if decision else None

    def over(self, rows: Rows) -> bool:
        """Say whether all trials have ended."""
        return self._ended(rows) >= self.total

    def spent(self, rows: Rows) -> int:
        """Return the number of ended trials."""
        return sum(row.ended for row in rows.values())

    def _ended(self, rows: Rows) -> int:
        while self._frontier in rows and rows[self._frontier].ended:
            self._frontier += 1
        return self._frontier


class Legs:
    """Trials in legs, by what an algorithm decides (`decide`). `queue` holds the params of the first trials.

    When a leg's result may be seen is told by a clock of steps: each decision advances it by the length of its leg, and
    the result of a leg of n steps, decided at t, is seen from t + lag * n on. That is about when it ends if `lag`
    workers train; for legs of one length, decision k sees the results of those <= k - lag, as with trials in one go.
    A trial's first leg has a lag of its own, if `first_lag` is given: nothing is known yet of how slow its params are.
    A decision that finds nothing to do while others are out is passed over: the clock goes on to the next result.

    A trial costs the steps that it has trained, a leg that is out included, and at least one.
    """

    def __init__(
        self,
        decide: Decide,
        rows: Rows,
        *,
        lag: int,
        total: int,
        steps: int,
        maximize: bool,
        first_lag: int | None = None,
        queue: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.total = total
        self._decide, self._steps, self._queue = decide, steps, queue
        self._lag, self._first_lag = lag, first_lag or lag
        self._sign = 1.0 if maximize else -1.0
        self._trials = {leg.decision: row.number for row in rows.values() for leg in row.legs}  # by their decisions
        self._number = 0  # of the next decision
        self._clock = 0  # the steps of all legs decided so far, and what was skipped when decisions were passed over
        self._unseen: dict[int, int] = {}  # decision -> when on that clock its result is seen
        self._walk(rows)
        self._ahead: Decision | None = None
        self._seen: dict[int, tuple[TrialRow, bool, SeenTrial]] = {}

    def prepare(self, rows: Rows) -> None:
        """Decide on the next leg, if that may be done by now."""
        self._look(rows)

    def next(self, rows: Rows) -> tuple[int, Decision] | None:
        """Return the next leg."""
        decision = self._look(rows)
        if decision is None:
            return None
        number, self._ahead = self._number, None
        self._trials[number] = len(rows) if decision.trial is None else decision.trial
        self._decided(rows[decision.trial].legs[-1].until if decision.trial is not None else 0, decision.until)
        return number, decision

    def over(self, rows: Rows) -> bool:
        """Say whether the steps are spent, or nothing can be done with those left."""
        return self._look(rows) is None

    def spent(self, rows: Rows) -> int:
        """Return the steps of all legs, of those that are out as if they had been made."""
        return sum(_cost(row.legs[-1].until if self._out(row) else len(row.history)) for row in rows.values())

    def _look(self, rows: Rows) -> Decision | None:
        while self._ahead is None and not any(self._flying(rows, number) for number in self._due()):
            for number in self._due():
                del self._unseen[number]
            trials = [self._as_seen(rows[number]) for number in range(len(rows))]
            spent = sum(_cost(trial.until or len(rows[number].history)) for number, trial in enumerate(trials))
            left = self.total - spent
            self._ahead = self._decide(self._number, trials, left) if left > 0 else None
            if self._ahead is None and not any(trial.until for trial in trials):
                return None
            if self._ahead is None:
                self._passed_over()
            elif self._ahead.trial is None and len(rows) < len(self._queue):
                self._ahead = replace(self._ahead, params=self._queue[len(rows)])
        return self._ahead

    def _walk(self, rows: Rows) -> None:
        """Go through the decisions that are recorded, to where the clock stands."""
        spans = {}
        for row in rows.values():
            for before, leg in zip((0, *(leg.until for leg in row.legs)), row.legs, strict=False):
                spans[leg.decision] = before, leg.until
        while self._number <= max(spans, default=-1):
            self._unseen = {number: at for number, at in self._unseen.items() if at > self._clock}
            if self._number in spans:
                self._decided(*spans[self._number])
            else:
                self._passed_over()

    def _decided(self, start: int, until: int) -> None:
        length = _cost(until - start)
        self._unseen[self._number] = self._clock + (self._lag if start else self._first_lag) * length
        self._clock += length
        self._number += 1

    def _passed_over(self) -> None:
        self._clock = min(self._unseen.values())
        self._number += 1

    def _due(self) -> list[int]:
        """Return the decisions whose results the next one sees, and none before it has."""
        return [number for number, at in self._unseen.items() if at <= self._clock]

    def _flying(self, rows: Rows, number: int) -> bool:
        row = rows[self._trials[number]]
        return row.legs[-1].decision == number and self._out(row)

    @staticmethod
    def _out(row: TrialRow) -> bool:
        return not (row.ended or row.resting)

    def _as_seen(self, row: TrialRow) -> SeenTrial:
        """Return the trial as the next decision may see it; the same one while nothing has changed about it."""
        seen = row.legs[-1].decision not in self._unseen
        held = self._seen.get(row.number)
        if held is None or held[0] is not row or held[1] is not seen:
            held = self._seen[row.number] = row, seen, self._known(row) if seen else self._pending(row)
        return held[2]

    def _pending(self, row: TrialRow) -> SeenTrial:
        """Return a trial whose last leg's result may not be seen yet, whether or not it is there."""
        before = row.legs[-2].until if len(row.legs) > 1 else 0
        return SeenTrial(params=row.params, curve=self._curve(row, before), until=row.legs[-1].until)

    def _known(self, row: TrialRow) -> SeenTrial:
        curve = self._curve(row, self._steps)
        if row.state is TrialState.COMPLETE and curve:  # one that ended by itself stays where it is
            reached = max(curve)
            curve |= dict.fromkeys(range(reached + 1, self._steps + 1), curve[reached])
        return SeenTrial(params=row.params, curve=curve, over=row.state is TrialState.FAILED)

    def _curve(self, row: TrialRow, until: int) -> dict[int, float]:
        return {step: self._sign * value for step, value in row.history.items() if step <= until}


def _cost(steps: int) -> int:
    return max(1, steps)
