"""How far a running search is, in words: counts, pace, expected end, the best so far, and what pruning saved."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from litune.objective import Objective
from litune.report.console import brief, describe, sparkline
from litune.steps import step_name
from litune.study.study import Study
from litune.table import TrialRow
from litune.trial import TrialState

_BAR = 16  # letters


class Progress:
    """A study as it stood when it was last looked at; `whole` is the validations of a trial that is not cut short."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._step = step_name(study.config)
        self._unit = self._step if study.terms.in_legs else "trial"
        self._before = study.plan.spent(study.rows)
        self.whole = study.terms.max_steps
        self.look()

    def look(self) -> None:
        """Take note of how the study stands now."""
        self._rows = [row for _, row in sorted(self._study.rows.items())]
        self._ended = [row for row in self._rows if row.ended]
        self._spent = self._study.plan.spent(self._study.rows)
        self._seconds = time.monotonic() - self._study.began
        self._new = self._spent - self._before
        self.whole = whole_length(self._ended) or self._study.terms.max_steps

    def counts(self) -> str:
        """Say how many trials stand how."""
        study = self._study
        done = min(_BAR, round(_BAR * self._spent / study.plan.total))
        states = {state: sum(row.state is state for row in self._ended) for state in TrialState}
        words = [f"{self._spent} of {study.plan.total} {self._unit}s"]
        if study.terms.in_legs:
            words += [f"{len(self._rows)} trials started", f"{continued(self._rows)} continued"]
            words += [f"{sum(row.resting for row in self._rows)} paused"]
        words += [f"{len(study.running)} running"]
        words += [f"{states[state]} {state.value.lower()}" for state in (TrialState.PRUNED, TrialState.FAILED)]
        return f"{study.directory.name} {'━' * done}{'╌' * (_BAR - done)} {' · '.join(words)}"

    def pace(self) -> str:
        """Say how fast the search is, and when it will have ended."""
        words = [f"{clock(self._seconds)} so far"]
        if self._new:
            each = self._seconds / self._new
            left = each * max(0, self._study.plan.total - self._spent)
            words = [f"{60 / each:.3g} {self._unit}s/min", *words, f"about {clock(left)} left"]
        limit = self._study.execution.timeout
        if limit is not None:
            words.append(f"{clock(max(0.0, limit - self._seconds))} left of search.timeout")
        return " · ".join(words)

    def best(self) -> str:
        """Say what is best, since when, and how it came to be."""
        improved = improvements(self._rows, self._study.objective)
        if not improved:
            return "best: none yet"
        row = improved[-1]
        words = [f"best {self._study.objective.metric}={brief(row.score)}", f"trial {row.number}"]
        if len(improved) > 1:
            steps = sparkline([self._study.objective.sign * (one.score or 0.0) for one in improved])
            gain = abs((row.score or 0.0) - (improved[-2].score or 0.0))
            words += [f"{steps} improved {len(improved) - 1}x, last by {gain:.2g}"]
        return " · ".join([*words, describe(row.params)])

    def savings(self) -> str:
        """Say how much training the prunings saved; nothing where none did."""
        saved, all_of_it = saved_by_pruning(self._ended, self.whole)
        return f"pruning saved {saved} of {all_of_it} {self._step}s ({saved / all_of_it:.0%})" if saved else ""


def improvements(rows: Iterable[TrialRow], objective: Objective) -> list[TrialRow]:
    """Return, of the rows in order, the ranked ones that were better than all before."""
    found: list[TrialRow] = []
    for row in rows:
        if row.ranked and row.score is not None:
            best = found[-1].score if found else None
            if best is None or objective.better(row.score, best):
                found.append(row)
    return found


def whole_length(rows: Iterable[TrialRow]) -> int:
    """Return the validations of the longest complete trial; 0 without one."""
    return max((len(row.history) for row in rows if row.state is TrialState.COMPLETE), default=0)


def saved_by_pruning(rows: Iterable[TrialRow], whole: int) -> tuple[int, int]:
    """Return the validations that pruned trials were spared, and those that all would have had without."""
    ran = [row for row in rows if row.reused is None and not row.legs]
    saved = sum(max(0, whole - len(row.history)) for row in ran if row.state is TrialState.PRUNED)
    return saved, saved + sum(len(row.history) for row in ran)


def continued(rows: Iterable[TrialRow]) -> int:
    """Return how many trials went on after a pause."""
    return sum(len(row.legs) > 1 for row in rows)


def in_legs(rows: Sequence[TrialRow], whole: int, step: str) -> str:
    """Say how the steps of a search were spread over its trials; nothing where trials are not paused."""
    if not any(row.legs for row in rows):
        return ""
    spent, full = sum(len(row.history) for row in rows), sum(row.state is TrialState.COMPLETE for row in rows)
    words = f"{spent} {step}s, as many as {spent / whole:.3g} full trainings: {len(rows)} trials started"
    words += f", {continued(rows)} continued, {full} trained to the end"
    restoring, seconds = sum(row.restoring for row in rows), sum(row.seconds for row in rows)
    return words + (f"; {restoring / seconds:.0%} of the time went into restoring them" if restoring else "")


def clock(seconds: float) -> str:
    """Return a span of time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
