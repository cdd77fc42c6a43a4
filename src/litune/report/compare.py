"""Runs of one experiment side by side."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from litune.errors import InputError, Problem
from litune.report import page
from litune.report.console import brief, describe, sparkline
from litune.report.facts import Facts, best_so_far, gather, wall_seconds
from litune.trial import TrialState

_WIDE = 24  # letters of a curve


def show_comparison(names: Sequence[str], out: str | None = None) -> int:
    """Print the runs in one table, and which have equal digests, or write a page of it; return the exit code."""
    runs = [gather(name) for name in names]
    _same_objective(runs)
    if out is not None:
        from litune.report import compare_page

        page.write(Path(out), compare_page.html(runs))
        return 0
    console = Console(highlight=False)
    console.print(_shown(runs))
    for line in digests(runs):
        console.print(line, soft_wrap=True, markup=False)
    sign = 1.0 if runs[0].objective.maximize else -1.0
    for run in runs:
        if run.board:
            way = [sign * value for _, value in best_so_far(run)]
            curve = sparkline([way[place * (len(way) - 1) // (_WIDE - 1)] for place in range(_WIDE)], _WIDE)
            console.print(f"{run.name} {curve} {describe(run.board[0].params)}", soft_wrap=True, markup=False)
    return 0


def digests(runs: Sequence[Facts]) -> list[str]:
    """Say which runs have the same trial table to the last bit, and which stand alone."""
    groups: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        groups[run.digest].append(run.name)
    same = [f"equal digests: {', '.join(names)} ({key[:12]})" for key, names in groups.items() if len(names) > 1]
    alone = [f"{names[0]} ({key[:12]})" for key, names in groups.items() if len(names) == 1]
    return [*same, *([f"different digests: {', '.join(alone)}"] if alone else [])]


def regret(run: Facts, best: float) -> float:
    """Return the mean, over the run's trials, of how far its best so far lies from the best of all runs."""
    gaps = [abs(best - value) for _, value in best_so_far(run)]
    return statistics.fmean(gaps)


def heading(runs: Sequence[Facts]) -> str:
    """Say what the runs are compared by."""
    objective = runs[0].objective
    far = f"mean distance of the best so far from {brief(_best(runs))}"
    return f"{objective.metric}, {objective.mode}; regret: {far}"


def table(runs: Sequence[Facts]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: counts, best, regret and time of each run."""
    head = ["run", "backend", "trials", "pruned", "failed", "best", "trial", "regret", "seconds"]
    rows = []
    for run in runs:
        counts = [len(run.rows), run.count(TrialState.PRUNED), run.count(TrialState.FAILED)]
        found = ["", "", ""]
        if run.board:
            found = [brief(run.board[0].score), str(run.board[0].number), f"{regret(run, _best(runs)):.2g}"]
        rows.append([run.name, str(run.config.backend.name), *map(str, counts), *found, f"{wall_seconds(run):.1f}"])
    return head, rows


def _best(runs: Sequence[Facts]) -> float:
    scores = [run.board[0].score for run in runs if run.board and run.board[0].score is not None]
    return (max if runs[0].objective.maximize else min)(scores, default=0.0)


def _shown(runs: Sequence[Facts]) -> Table:
    head, rows = table(runs)
    shown = Table(box=None, pad_edge=False, header_style="bold", title_justify="left", title=heading(runs))
    shown.add_column("run", overflow="fold")
    for name in head[1:]:
        shown.add_column(name, no_wrap=True, justify="left" if name == "backend" else "right")
    for row in rows:
        shown.add_row(*map(escape, row))
    return shown


def _same_objective(runs: Sequence[Facts]) -> None:
    first = runs[0]
    if len(runs) == 1:
        raise InputError(Problem(where="command line", key="run", got=first.name, expected="two runs or more"))
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
