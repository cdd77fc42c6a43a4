"""`--multirun`: its runs in one table, printed, and written as CSV beside their directories."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from litune.config.documents import display_path
from litune.report.console import brief, console_here
from litune.report.facts import gather, wall_seconds
from litune.study.runs import OUTCOME
from litune.trial import Outcome, TrialState

_DIGITS = 8  # of a digest


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a multirun: what it was given on the command line, where it lies, and the metric it is judged by."""

    overrides: tuple[str, ...]
    directory: Path
    metric: str


def show(jobs: Sequence[Job], root: Path) -> None:
    """Print the table of the runs, and write it under the directory of the run directories."""
    rows = [{**_swept(job, jobs), "run": job.directory.name, **_found(job)} for job in jobs]
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    telling = [name for name in names if any(row.get(name) != 0 for row in rows)]  # none pruned: no column of zeros
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in telling:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(brief(row.get(name, "")) for name in telling))
    path = next(path for path in (root / f"multirun-{n}.csv" for n in itertools.count(1)) if not path.exists())
    with path.open("x", newline="") as lines:
        writer = csv.DictWriter(lines, fieldnames=names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    console_here().print(table)
    print(f"the table: {display_path(path)}")


def _swept(job: Job, jobs: Sequence[Job]) -> dict[str, str]:
    """Return key -> value of the overrides in which the runs differ."""
    given = [dict(override.split("=", 1) for override in other.overrides) for other in jobs]
    mine = dict(override.split("=", 1) for override in job.overrides)
    return {key: value for key, value in mine.items() if any(other.get(key) != value for other in given)}


def _found(job: Job) -> Mapping[str, Any]:
    file = job.directory / OUTCOME
    if file.is_file():
        outcome = Outcome.from_json(json.loads(file.read_text()))
        return {
            "state": outcome.failure.kind.value if outcome.failure else outcome.state.value,
            job.metric: "" if outcome.score is None else outcome.score,
            "validations": len(outcome.history),
            "seconds": round(outcome.seconds, 1),
        }
    facts = gather(str(job.directory))
    return {
        "trials": len(facts.rows),
        **{state.value.lower(): facts.count(state) for state in (TrialState.PRUNED, TrialState.FAILED)},
        job.metric: facts.board[0].score if facts.board else "",
        "seconds": round(wall_seconds(facts), 1),
        "digest": facts.digest[:_DIGITS],
    }
