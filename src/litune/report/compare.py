"""Runs of one experiment side by side."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from litune.errors import InputError, Problem
from litune.report.console import brief, describe, sparkline
from litune.report.facts import Facts, best_so_far, gather, wall_seconds
from litune.trial import TrialState


def show_comparison(names: Sequence[str]) -> int:
    """Print the runs in one table, and which have equal digests; return the exit code."""
    runs = [gather(name) for name in names]
    _same_objective(runs)
    console = Console(highlight=False)
    console.print(_table(runs))
    for line in digests(runs):
        console.print(line, soft_wrap=True, markup=False)
    sign = 1.0 if runs[0].objective.maximize else -1.0
    for run in runs:
        if run.board:
            curve = sparkline([sign * value for _, value in best_so_far(run)])
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


def _table(runs: Sequence[Facts]) -> Table:
    objective = runs[0].objective
    scores = [run.board[0].score for run in runs if run.board and run.board[0].score is not None]
    best = (max if objective.maximize else min)(scores) if scores else 0.0
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.title = f"{objective.metric}, {objective.mode}; regret: mean distance of the best so far from {brief(best)}"
    table.add_column("run", overflow="fold")
    for head in ("backend", "trials", "pruned", "failed", "best", "trial", "regret", "seconds"):
        table.add_column(head, no_wrap=True, justify="left" if head == "backend" else "right")
    for run in runs:
        counts = [len(run.rows), run.count(TrialState.PRUNED), run.count(TrialState.FAILED)]
        found = ["", "", ""]
        if run.board:
            found = [brief(run.board[0].score), str(run.board[0].number), f"{regret(run, best):.2g}"]
        cells = [run.name, str(run.config.backend.name), *map(str, counts), *found, f"{wall_seconds(run):.1f}"]
        table.add_row(*map(escape, cells))
    return table


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
