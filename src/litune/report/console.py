"""Words of a terminal: values, params, curves in one line, the leaderboard."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from litune.report import notebook
from litune.table import TrialRow, leaderboard

_IN_A_CELL = 100  # letters; a notebook tells no width
_BARS, _NO_NUMBER = "▁▂▃▄▅▆▇█", "x"


def plain_console(**options: Any) -> Console:
    """Return a console that shows text as it is: what looks like Rich's markup are a user's own brackets."""
    return Console(highlight=False, markup=False, emoji=False, **options)


def console_here() -> Console:
    """Return the console that a search speaks to; a notebook's cell is given plain text."""
    return plain_console(force_jupyter=False, width=_IN_A_CELL if notebook.is_here() else None)


def uncut_console() -> Console:
    """Return a console that never cuts a table: it is read by people who scroll, and by scripts."""
    return plain_console(width=None if sys.stdout.isatty() else 10_000)


def print_leaderboard(
    console: Console, rows: Iterable[TrialRow], *, metric: str, maximize: bool, top: int = 10
) -> None:
    """Print the best trials as a table."""
    board = leaderboard(rows, maximize=maximize)[:top]
    if not board:
        console.print("no trial was completed")
        return
    keys = sorted({key for row in board for key in row.params})
    last = [key.rpartition(".")[2] for key in keys]
    table = _table(board, metric, keys, keys)
    whole = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    if whole > console.width and len(set(last)) == len(last):
        table = _table(board, metric, keys, last)
    console.print(table)


def _table(board: Iterable[TrialRow], metric: str, keys: Iterable[str], names: Iterable[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("#", "trial", metric, *names):
        table.add_column(name, justify="right", overflow="fold")
    for rank, row in enumerate(board, start=1):
        params = (brief(row.params[key]) if key in row.params else "" for key in keys)
        table.add_row(str(rank), str(row.number), brief(row.score), *params)
    return table


def describe(params: Mapping[str, Any]) -> str:
    """Return the params in one line."""
    return " ".join(f"{key}={brief(value)}" for key, value in params.items())


def sparkline(values: list[float], width: int = 12) -> str:
    """Return the last values as a line of bars; a cross for one that is no number."""
    tail = values[-width:]
    finite = [value for value in tail if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = (high - low) or 1.0
    places = [(value - low) / span * (len(_BARS) - 1) for value in tail]
    return "".join(_BARS[int(place)] if math.isfinite(place) else _NO_NUMBER for place in places)


def brief(value: Any) -> str:
    """Return a value as a table shows it: floats in five digits."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
