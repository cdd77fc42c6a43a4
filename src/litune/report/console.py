"""Words of a terminal: values, params, curves in one line, the leaderboard."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from litune.report import notebook
from litune.table import TrialRow, leaderboard

_IN_A_CELL = 100  # letters; a notebook tells no width
_UNCUT = 10_000  # letters
_BARS, _NO_NUMBER = "▁▂▃▄▅▆▇█", "x"


def plain_console(**options: Any) -> Console:
    """Return a console that shows text as it is: what looks like Rich's markup are a user's own brackets."""
    return Console(highlight=False, markup=False, emoji=False, **options)


def console_here() -> Console:
    """Return the console to speak to; in a log and for a script, which have no width, nothing is cut."""
    if notebook.is_here():
        return plain_console(force_jupyter=False, width=_IN_A_CELL)
    return plain_console(width=None if sys.stdout.isatty() else _UNCUT)


def print_leaderboard(
    console: Console, rows: Iterable[TrialRow], *, metric: str, maximize: bool, top: int = 10
) -> None:
    """Print the best trials as a table: a column a param, or where that is too wide, all params in one."""
    board = leaderboard(rows, maximize=maximize)[:top]
    if not board:
        console.print("no trial was completed")
        return
    tables = list(_tables(board, metric))
    free = console.options.update(max_width=_UNCUT)
    fitting = (table for table in tables if console.measure(table, options=free).maximum <= console.width)
    console.print(next(fitting, tables[-1]))


def _tables(board: Sequence[TrialRow], metric: str) -> Iterator[Table]:
    """Yield the table with a column a param, by its key and by the key's last part, and with all params in one."""
    keys = list(dict.fromkeys(key for row in board for key in row.params))
    last = [key.rpartition(".")[2] for key in keys]
    params = [[brief(row.params[key]) if key in row.params else "" for key in keys] for row in board]
    yield _table(board, metric, keys, params, justify="right")
    if len(set(last)) == len(last):
        yield _table(board, metric, last, params, justify="right")
    yield _table(board, metric, ["params"], [[describe(row.params)] for row in board], justify="left")


def _table(
    board: Sequence[TrialRow],
    metric: str,
    names: Iterable[str],
    params: Iterable[Iterable[str]],
    *,
    justify: Literal["left", "right"],
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("#", "trial", metric):
        table.add_column(name, justify="right", no_wrap=True)
    for name in names:
        table.add_column(name, justify=justify, overflow="fold")
    for rank, (row, values) in enumerate(zip(board, params, strict=True), start=1):
        table.add_row(str(rank), str(row.number), brief(row.score), *values)
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
