"""`litune compare`: runs of one experiment side by side, in the terminal or as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from litune.arguments import WHERE
from litune.errors import InputError, Problem
from litune.report import compare_page, comparison_table, page
from litune.report.console import console_here, describe, sparkline
from litune.report.facts import Facts, best_so_far, gather

_WIDE = 24  # letters of a curve


def show_comparison(names: Sequence[str], out: str | None = None) -> int:
    """Print the runs in one table, and which have equal digests, or write a page of it; return the exit code."""
    runs = [gather(name) for name in names]
    _same_objective(runs)
    if out is not None:
        page.write(Path(out), compare_page.html(runs))
        return 0
    console = console_here()
    console.print(_shown(runs))
    for line in comparison_table.digests(runs):
        console.print(line, soft_wrap=True)
    for run in runs:
        if run.board:
            way = [run.objective.sign * value for _, value in best_so_far(run)]
            curve = sparkline([way[place * (len(way) - 1) // (_WIDE - 1)] for place in range(_WIDE)], _WIDE)
            console.print(f"{run.name} {curve} {describe(run.board[0].params)}", soft_wrap=True)
    return 0


def _shown(runs: Sequence[Facts]) -> Table:
    head, rows = comparison_table.table(runs)
    shown = Table(
        box=None, pad_edge=False, header_style="bold", title_justify="left", title=comparison_table.heading(runs)
    )
    shown.add_column("run", overflow="fold")
    for name in head[1:]:
        shown.add_column(name, no_wrap=True, justify="left" if name == "backend" else "right")
    for row in rows:
        shown.add_row(*row)
    return shown


def _same_objective(runs: Sequence[Facts]) -> None:
    first = runs[0]
    if len(runs) == 1:
        raise InputError(Problem(where=WHERE, key="run", got=first.name, expected="two runs or more"))
    problems = [
        Problem(
            where=str(run.directory),
            key="objective",
            got=f"{run.objective.metric}, {run.objective.mode}",
            expected=f"{first.objective.metric}, {first.objective.mode}, as in {first.name}: else there is no better",
        )
        for run in runs[1:]
        if (run.objective.metric, run.objective.mode) != (first.objective.metric, first.objective.mode)
    ]
    if problems:
        raise InputError(problems)
