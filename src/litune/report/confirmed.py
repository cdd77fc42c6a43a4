"""A confirmation in words, and as a table of plain values, for the terminal and any form of report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable

from litune.objective import Objective
from litune.report.console import brief, describe
from litune.study.confirmation import Confirmation, Interval

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # head, rows


def sentences(confirmation: Confirmation, objective: Objective) -> list[str]:
    """Say which trial is confirmed, how sure that is, and how much the search had flattered it."""
    winner = confirmation.winner
    apart = f"{abs(winner.gap):.3g} better, the winner's curse" if winner.gap > 0 else f"{abs(winner.gap):.3g} worse"
    said = [
        f"Confirmed: trial {winner.row.number}, {objective.metric} = {brief(winner.confirmed.mean)} on average over "
        f"{len(winner.scores)} fresh seeds (95% interval {_range(winner.confirmed)}); the search had seen "
        f"{brief(winner.row.score)}, {apart if winner.gap else 'the same'}."
    ]
    if confirmation.lead:
        lead, second = confirmation.lead, confirmation.candidates[1]
        sure = "a sure lead" if lead.low > 0 else "not a sure lead: more seeds may turn it round"
        over = f"over the same seeds (95% interval {_range(lead)})"
        said.append(f"It leads trial {second.row.number} by {brief(lead.mean)} {over}: {sure}.")
    return said


def table(confirmation: Confirmation) -> Table:
    """Return the candidates, the best first."""
    rows = []
    for one in confirmation.candidates:
        trained = str(len(one.scores)) + (f" ({one.failed} failed)" if one.failed else "")
        words = [str(one.row.number), brief(one.row.score), brief(one.confirmed.mean), _range(one.confirmed)]
        rows.append([*words, f"{one.gap:+.3g}", trained, describe(one.row.params)])
    return ["trial", "searched", "mean", "95% interval", "gap", "seeds", "params"], rows


def note(confirmation: Confirmation | None, objective: Objective) -> str:
    """Return what best.yaml says of the confirmation; nothing where there is none."""
    if confirmation is None:
        return ""
    winner = confirmation.winner
    seeds = f"{len(winner.scores)} fresh seeds"
    return f"confirmed on {seeds}: {objective.metric} = {brief(winner.confirmed.mean)} ({_range(winner.confirmed)})"


def show(console: Console, confirmation: Confirmation, objective: Objective) -> None:
    """Print table and sentences."""
    head, rows = table(confirmation)
    shown = RichTable(box=None, pad_edge=False, header_style="bold")
    for name in head:
        shown.add_column(name, justify="left" if name == "params" else "right", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    for sentence in sentences(confirmation, objective):
        console.print(sentence)


def _range(interval: Interval) -> str:
    if math.isinf(interval.low):
        return "one seed: no interval"
    return f"{brief(interval.low)} to {brief(interval.high)}"
