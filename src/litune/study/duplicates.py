"""search.duplicates=reuse: how a trial with params tried before must end, known from the earlier training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from litune.objective import Objective
from litune.table import TrialRow
from litune.trial import Job, Outcome, TrialState


class Duplicates:
    """Holds the trials that others may be answered from, by their params. All have one seed.

    `owns_loop`: they are calls of a function, which may return any score when it is told to stop, or go on.
    """

    def __init__(self, objective: Objective, rows: Mapping[int, TrialRow], *, owns_loop: bool = False) -> None:
        self._objective, self._owns_loop = objective, owns_loop
        self._sources: dict[str, list[int]] = {}
        for _, row in sorted(rows.items()):
            self.note(row)

    def note(self, row: TrialRow) -> None:
        """Take note of a trial that has ended, or rests between two legs."""
        known = row.state in (TrialState.COMPLETE, TrialState.PRUNED) or row.resting
        if known and row.reused is None and not row.schedule:
            numbers = self._sources.setdefault(_key(row.params), [])
            if row.number not in numbers:
                numbers.append(row.number)

    def answer(self, job: Job, rows: Mapping[int, TrialRow]) -> tuple[int, Outcome] | None:
        """Return (the trial that tells, how the job must end), if one tells."""
        for source in self._sources.get(_key(job.params), []):
            row = rows[source]
            if source == job.number or row.reused is not None or row.state is TrialState.FAILED:
                continue  # of one that failed further on no checkpoint is left
            for step, value in sorted(row.history.items()):
                if step in job.prune_below and self._objective.sign * value < job.prune_below[step]:
                    return None if self._owns_loop else (source, self._up_to(row, step, TrialState.PRUNED))
            if row.state is TrialState.COMPLETE and (job.until is None or len(row.history) <= job.until):
                return source, row.outcome()
            if job.until is not None and len(row.history) >= job.until and (row.ended or row.resting):
                return source, self._up_to(row, job.until, TrialState.PAUSED)
        return None

    def _up_to(self, row: TrialRow, step: int, state: TrialState) -> Outcome:
        seen = {at: value for at, value in row.history.items() if at <= step}
        return replace(row.outcome(), state=state, history=seen, score=self._objective.score(seen))


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
