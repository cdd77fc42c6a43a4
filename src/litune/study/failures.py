"""What follows from a trial's failure: another attempt at it, or the end of a search that cannot end well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from litune.table import TrialRow
from litune.trial import Failure, FailureClass


def again(row: TrialRow, failure: Failure, retries: Mapping[str, int]) -> TrialRow | None:
    """Return the row with this failure counted if the trial is to run again, by how often its class may; else None."""
    kind = failure.kind.value
    before = row.retried.get(kind, 0)
    return replace(row, retried={**row.retried, kind: before + 1}) if before < retries.get(kind, 0) else None


def counted(failure: Failure, row: TrialRow) -> Failure:
    """Return the failure with the number of attempts that ended like it."""
    before = row.retried.get(failure.kind.value, 0)
    return replace(failure, message=f"{failure.message} (in each of {before + 1} attempts)") if before else failure


class Hopeless:
    """Notes how trials end, in order, until it is clear whether the first ones tell that no other could end well.

    So it is if the first `most` fail alike, or if trial `first` lacks a metric and all are `measured_alike`; 0: it
    never is.
    """

    def __init__(self, most: int, *, first: int, measured_alike: bool) -> None:
        self._most, self._first, self._measured_alike = most, first, measured_alike
        self._causes = list[str | None]()

    def note(self, number: int, failure: Failure | None) -> str:
        """Return why no further trial could end well; "" where one may."""
        self._causes.append(_cause(failure) if failure else None)
        if failure is None or not self._most:
            return ""
        if self._measured_alike and number == self._first and failure.kind is FailureClass.NO_METRIC:
            return "the first trial lacks a metric, as any other would (search.stop_after_equal_failures=0: go on)"
        alike = len(self._causes) == self._most and len(set(self._causes)) == 1
        return f"the first {self._most} trials failed alike" if alike else ""


def _cause(failure: Failure) -> str:
    """Return what failures must have in common to be alike; how much memory is wanted depends on the params."""
    last = "" if failure.kind is FailureClass.OUT_OF_MEMORY else failure.message.splitlines()[-1]
    return f"{failure.kind.value}: {last}"
