"""What runs side by side are compared by: counts, best, regret, time, and their digests."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from litune.report.console import brief
from litune.report.facts import Facts, best_so_far, wall_seconds
from litune.trial import TrialState


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
