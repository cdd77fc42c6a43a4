"""What the terminal shows when a search has ended: leaderboard, the way to the best, what mattered, what comes next."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from litune.config.documents import display_path
from litune.report.console import brief, print_leaderboard
from litune.report.facts import Facts, best_so_far, gather
from litune.report.importance import importances
from litune.report.progress import in_legs, saved_by_pruning, whole_length
from litune.steps import step_name
from litune.study import runs
from litune.table import TrialRow
from litune.trial import directory_in

_HEIGHT, _WIDTH = 7, 60
_FEWEST = 4  # ranked trials; fewer, or a best that never improved, make no curve


def print_ending(console: Console, directory: Path) -> None:
    """Print what a search has found so far, from its ledger."""
    facts = gather(str(directory))
    metric, maximize = facts.objective.metric, facts.objective.maximize
    print_leaderboard(console, facts.rows, metric=metric, maximize=maximize)
    if not facts.board:
        for line in _first_failure(facts.rows, directory):
            console.print(line, soft_wrap=True)
    elif failed := [row.failure.kind.value for row in facts.rows if row.failure]:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(failed).items()))
        why = f"litune report {shlex.quote(display_path(directory))}"
        console.print(f"{len(failed)} of {len(facts.rows)} trials failed ({kinds}): {why}", soft_wrap=True)
    if (own := facts.baseline) and own is not facts.board[0]:
        console.print(f"the config's own params, trial {own.number}: {brief(own.score)}")
    for line in curve(facts, min(_WIDTH, console.width - 12)):
        console.print(line, soft_wrap=True)
    if found := importances(facts, samples=0):
        shares = ", ".join(f"{one.name} {one.share:.0%}" for one in found if one.share >= 0.005)
        console.print(f"what mattered: {shares}", soft_wrap=True)
    if spread := in_legs(facts.rows, facts.about["terms"]["max_steps"], step_name(facts.config)):
        console.print(spread, soft_wrap=True)
    saved, whole = saved_by_pruning(facts.rows, whole_length(facts.rows))
    if saved:
        console.print(f"pruning saved {saved} of {whole} {step_name(facts.config)}s ({saved / whole:.0%})")
    for line in _ways_on(directory):
        console.print(line, soft_wrap=True)


def _ways_on(directory: Path) -> Iterator[str]:
    """Yield how the best is trained again, and the search seen, once best.yaml is written."""
    if (best := directory / runs.BEST).exists():
        path, place = shlex.quote(display_path(best)), shlex.quote(display_path(directory))
        yield f"best: {path}"
        yield f"train it: litune train --config-file {path}"
        yield f"see it: litune report {place}; litune dashboard {place}"


def curve(facts: Facts, width: int) -> list[str]:
    """Return the best score so far over the trials as lines of ASCII; the other scores within its range as dots."""
    best = [(number, value) for number, value in best_so_far(facts) if math.isfinite(value)]
    later = best[len(best) // 10 :]
    if len({value for _, value in later}) > 1:
        best = later  # in whose range there is more to see: the first scores are soon left far behind
    low, high = min((value for _, value in best), default=0.0), max((value for _, value in best), default=0.0)
    if len(best) < _FEWEST or low == high:
        return []
    last = max(1, len(facts.rows) - 1)
    columns = min(width, len(facts.rows))
    grid = [[" "] * columns for _ in range(_HEIGHT)]

    def place(number: int, value: float) -> tuple[int, int]:
        return round((high - value) / (high - low) * (_HEIGHT - 1)), number * (columns - 1) // last

    for row in facts.board:
        if row.score is not None and low <= row.score <= high:
            line, column = place(row.number, row.score)
            grid[line][column] = "."
    for column, value in _filled(best, last, columns):
        grid[place(0, value)[0]][column] = "*"
    labels = [brief(high), *[""] * (_HEIGHT - 2), brief(low)]
    wide = max(map(len, labels))
    lines = [f"{label:>{wide}} |{''.join(cells).rstrip()}" for label, cells in zip(labels, grid, strict=True)]
    foot = f"{'':>{wide}} +{'-' * columns} {len(facts.rows)} trials"
    return [f"best {facts.objective.metric} so far (*)", *lines, foot]


def _filled(best: Sequence[tuple[int, float]], last: int, columns: int) -> list[tuple[int, float]]:
    """Return (column, value) for each column from the first score on: the value reached by the column's end."""
    reached = {number * (columns - 1) // last: value for number, value in best}
    value, filled = best[0][1], []
    for column in range(min(reached), columns):
        value = reached.get(column, value)
        filled.append((column, value))
    return filled


def _first_failure(rows: Sequence[TrialRow], directory: Path) -> list[str]:
    """Return why the first trial that failed did, with its traceback's end and its log, as lines; none if none did."""
    for row in rows:
        if row.failure:
            log = directory_in(directory, row.number) / "log.txt"
            said = [f"trial {row.number} failed first: {row.failure.kind.value}", row.failure.message]
            return [*said, f"its log: {log}"] if log.exists() else said
    return []
