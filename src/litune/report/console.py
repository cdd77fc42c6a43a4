"""The live view in a terminal, plain lines elsewhere, and the leaderboard at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from litune.study import Study
from litune.table import TrialRow, leaderboard
from litune.trial import TrialState

REFRESH = 0.25  # seconds between two pictures
_BARS = "▁▂▃▄▅▆▇█"


class ConsoleView:
    """Show how a study stands; use it as a context manager around the search."""

    def __init__(self, study: Study, console: Console | None = None) -> None:
        self._study, self._console = study, console or Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._at_start = {number for number, row in study.rows.items() if row.ended}
        self._shown = set(self._at_start)
        self._last = 0.0

    def __enter__(self) -> ConsoleView:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the live picture away."""
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._lines()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(Text(text))

    def refresh(self) -> None:
        """Show the study as it is now, at most every REFRESH seconds."""
        now = time.monotonic()
        if now - self._last < REFRESH:
            return
        self._last = now
        if self._console.is_terminal:
            self._live.update(self._picture(), refresh=True)
        else:
            self._lines()

    def _lines(self) -> None:
        for number, row in sorted(self._study.rows.items()):
            if row.ended and number not in self._shown:
                self._shown.add(number)
                self._console.print(Text(_line(row)), soft_wrap=True)

    def _picture(self) -> Group:
        study = self._study
        running = Table(box=None, pad_edge=False, header_style="dim")
        widths = {"trial": 5, "step": 4, study.objective.metric: max(8, len(study.objective.metric)), "curve": 12}
        for name, width in widths.items():
            running.add_column(name, no_wrap=True, min_width=width)
        running.add_column("params", no_wrap=True, overflow="ellipsis")
        for number in sorted(study.running):
            row = study.rows[number]
            values = list(row.history.values())
            last = brief(values[-1]) if values else ""
            running.add_row(str(number), str(len(values)), last, sparkline(values), describe(row.params))
        return Group(Text(self._status()), Text(self._best()), running)

    def _status(self) -> str:
        study = self._study
        ended = [row for row in study.rows.values() if row.ended]
        count = {state: sum(row.state is state for row in ended) for state in TrialState}
        new = len(ended) - len(self._at_start)
        left = ""
        if new:
            seconds = (time.monotonic() - study.began) / new * (study.total - len(ended))
            left = f" · about {seconds / 60:.0f} min left" if seconds >= 90 else f" · about {seconds:.0f} s left"
        return (
            f"{study.directory.name}: {len(ended)} of {study.total} trials · {len(study.running)} running"
            f" · {count[TrialState.PRUNED]} pruned · {count[TrialState.FAILED]} failed{left}"
        )

    def _best(self) -> str:
        best = self._study.best()
        if best is None:
            return "best: none yet"
        return (
            f"best: {self._study.objective.metric}={brief(best.score)} · trial {best.number}: {describe(best.params)}"
        )


def print_leaderboard(
    console: Console, rows: Iterable[TrialRow], *, metric: str, maximize: bool, top: int = 10
) -> None:
    """Print the best trials as a table."""
    board = leaderboard(rows, maximize=maximize)[:top]
    if not board:
        console.print("no trial was completed")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    keys = sorted({key for row in board for key in row.params})
    for name in ("#", "trial", metric, *keys):
        table.add_column(name, justify="right", overflow="fold")
    for rank, row in enumerate(board, start=1):
        params = (brief(row.params[key]) if key in row.params else "" for key in keys)
        table.add_row(str(rank), str(row.number), brief(row.score), *params)
    console.print(table)


def describe(params: Mapping[str, Any]) -> str:
    """Return the params in one line."""
    return " ".join(f"{key}={brief(value)}" for key, value in params.items())


def sparkline(values: list[float], width: int = 12) -> str:
    """Return the last values as a line of bars."""
    tail = values[-width:]
    if not tail:
        return ""
    low, high = min(tail), max(tail)
    span = (high - low) or 1.0
    return "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in tail)


def _line(row: TrialRow) -> str:
    score = f" score={brief(row.score)}" if row.score is not None else ""
    why = f" {row.failure.kind.value}: {row.failure.message.splitlines()[-1]}" if row.failure else ""
    reused = f" as trial {row.reused}" if row.reused is not None else ""
    return f"trial {row.number} {row.state.value}{score}{reused}{why} | {describe(row.params)}"


def brief(value: Any) -> str:
    """Return a value as a table shows it: floats in five digits."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
