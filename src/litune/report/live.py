"""The live view of a search in a terminal or notebook; in a log or in CI one line a trial, when it has ended."""

from __future__ import annotations

import os
import time

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from litune.report import notebook
from litune.report.console import brief, describe, sparkline
from litune.report.progress import Progress, clock
from litune.steps import step_name
from litune.study.study import Study
from litune.table import TrialRow
from litune.trial import TrialState

REFRESH = 0.25  # seconds between two pictures
_CURVE, _VALUE = 12, 8  # letters
_AROUND = 7  # lines of the picture that are not of a running trial


class ConsoleView:
    """Show how a study stands; use it as a context manager around the search."""

    def __init__(self, study: Study, console: Console) -> None:
        self._study, self._console = study, console
        self._cell = notebook.Picture() if notebook.is_here() else None
        terminal = self._console.is_terminal and not self._console.is_dumb_terminal
        self._moving = terminal and not self._cell and "CI" not in os.environ
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._progress = Progress(study)
        self._shown = {number for number, row in study.rows.items() if row.ended}
        self._workers: dict[int, int] = {}  # running trial -> which of the workers, from 1
        self._width = self._console.width
        self._last = 0.0

    def __enter__(self) -> ConsoleView:
        """Begin to show."""
        if self._moving:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the live picture away."""
        if self._moving:
            self._live.stop()
        self._lines()
        if self._cell:
            self._cell.draw(self._summary())

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, soft_wrap=True)

    def refresh(self) -> None:
        """Show the study as it is now, at most every REFRESH seconds."""
        now = time.monotonic()
        if now - self._last < REFRESH:
            return
        self._last = now
        self._lines()
        if self._moving:
            if self._console.width < self._width:  # the terminal has broken the old picture's lines
                self._console.clear()
            self._width = self._console.width
            lines = [*self._summary(), *self._running()]
            self._live.update(Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)), refresh=True)
        elif self._cell:
            self._cell.draw([*self._summary(), *self._running()])

    def _lines(self) -> None:
        """Print the trials that have ended since; beside a live picture only those that failed."""
        for number, row in sorted(self._study.rows.items()):
            if row.ended and number not in self._shown:
                self._shown.add(number)
                if not (self._moving or self._cell) or row.state is TrialState.FAILED:
                    self._console.print(line_of(row), soft_wrap=True)

    def _summary(self) -> list[str]:
        progress = self._progress
        progress.look()
        lines = [progress.counts(), progress.pace(), progress.best()]
        return lines + ([progress.savings()] if progress.savings() else [])

    def _running(self) -> list[str]:
        study, metric = self._study, self._study.objective.metric
        numbers = sorted(study.running)
        self._place(numbers)
        wide = max(_VALUE, len(metric))
        step = "epoch" if step_name(study.config) == "epoch" else "step"
        lines = [f"trial  on     {step:<7} {metric:<{wide}} {'curve':<{_CURVE}} params"]
        room = max(1, self._console.height - _AROUND)
        for number in numbers[:room]:
            row, job = study.rows[number], study.running[number]
            values = list(row.history.values())
            place = f"gpu {job.devices[0]}" if job.devices else f"{self._workers[number]}"
            whole = self._progress.whole
            reached = f"{len(values)}/{whole}" if whole else str(len(values))
            last = brief(values[-1]) if values else ""
            curve = sparkline(values, _CURVE)
            lines.append(f"{number:<6} {place:<6} {reached:<7} {last:<{wide}} {curve:<{_CURVE}} {describe(row.params)}")
        more = len(numbers) - room
        return [*lines, f"and {more} more"] if more > 0 else lines

    def _place(self, numbers: list[int]) -> None:
        """Give each running trial the lowest free worker's number, and keep it there."""
        self._workers = {number: place for number, place in self._workers.items() if number in numbers}
        for number in numbers:
            if number not in self._workers:
                taken = set(self._workers.values())
                self._workers[number] = next(place for place in range(1, len(numbers) + 2) if place not in taken)


def line_of(row: TrialRow) -> str:
    """Return the line that is printed when a trial has ended."""
    score = f" score={brief(row.score)}" if row.score is not None else ""
    why = f" {row.failure.kind.value}: {row.failure.message.splitlines()[-1]}" if row.failure else ""
    reused = f" as trial {row.reused}" if row.reused is not None else ""
    took = f" in {clock(row.seconds)}" if row.reused is None and row.seconds else ""
    return f"trial {row.number} {row.state.value}{score}{reused}{took}{why} | {describe(row.params)}"
