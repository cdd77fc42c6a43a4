"""What the `litune` command prints of runs: list, trials, best, digest."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table

from litune.arguments import WHERE
from litune.config import config as configs
from litune.errors import InputError, LituneError, Problem
from litune.report import confirmed
from litune.report.console import brief, console_here
from litune.study import confirmation, runs
from litune.table import TrialRow, digest, leaderboard
from litune.trial import TrialState, number_out

_COLUMNS = ("number", "state", "failure", "score")
_LAST = ("history", "seconds", "where")


def list_runs(root: str = "runs") -> int:
    """Print every run under the directory; return the exit code."""
    if root != "runs" and not Path(root).is_dir():
        raise InputError(Problem(where=WHERE, got=root, expected="the directory of the run directories"))
    head = ("run", "experiment", "trials", "complete", "pruned", "failed", "unended", "best")
    table = Table(*head, box=None, pad_edge=False)
    for path in sorted(Path(root).glob("*/space.json")):
        try:
            config, _, ledger = runs.read(path.parent)
        except LituneError as error:
            table.add_row(path.parent.name, "unreadable", "", "", "", "", "", str(error).splitlines()[0])
            continue
        rows = list(ledger.rows.values())
        states = [row.state for row in rows]
        counts = [states.count(state) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)]
        counts.append(len(rows) - sum(counts))  # they run, or wait to be continued
        objective = configs.objective(config)
        board = leaderboard(rows, maximize=objective.maximize)
        best = f"{objective.metric}={brief(board[0].score)}" if board else ""
        table.add_row(path.parent.name, config.experiment, str(len(rows)), *map(str, counts), best)
    console_here().print(table if table.row_count else f"no runs under {root}")
    return 0


def show_trials(run: str, form: str = "table") -> int:
    """Print every trial of a run as a table, CSV or JSON; return the exit code."""
    _, space, ledger = runs.read(runs.find(run))
    rows = [ledger.rows[key] for key in sorted(ledger.rows)]
    if form == "json":
        print(json.dumps([_record(row) for row in rows], indent=1))
    elif form == "csv":
        print(_csv(rows, space.names), end="")
    else:
        _table(rows, space.names)
    return 0


def show_best(run: str) -> int:
    """Print the best trial's config as YAML, and write it into the run; return 1 where no trial was completed."""
    directory = runs.find(run)
    config, _, ledger = runs.read(directory)
    objective = configs.objective(config)
    best, found = confirmation.chosen(directory, ledger.rows, objective)
    if best is None:
        print("no trial was completed", file=sys.stderr)
        return 1
    note = confirmed.note(found, objective)
    print(runs.write_best(directory, config, best, ledger.about["terms"], note).read_text(), end="")
    return 0


def show_digest(run: str) -> int:
    """Print what the run was made with, and the digest of its trial table as the last line; return the exit code."""
    _, _, ledger = runs.read(runs.find(run))
    made_with = " ".join(f"{name}={version}" for name, version in ledger.about["made_with"].items())
    ended = sum(row.ended for row in ledger.rows.values())
    print(f"{ended} trials; made with {made_with}; {ledger.about['terms']['threads']} threads a trial")
    print(digest(ledger.rows.values()))
    return 0


def _record(row: TrialRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "state": row.state.value,
        "failure": row.failure and {"kind": row.failure.kind.value, "message": row.failure.message},
        "score": row.score,
        "params": dict(row.params),
        "history": [[step, number_out(value)] for step, value in row.history.items()],
        "seconds": round(row.seconds, 3),
        "where": row.where,
        "seed": row.seed,
        "attempt": row.attempt,
        "retried": dict(row.retried),
        "reused": row.reused,
        "schedule": list(row.schedule),
    }


def _csv(rows: Iterable[TrialRow], names: Iterable[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(names)
    writer.writerow([*_COLUMNS, *names, *_LAST])
    for row in rows:
        record = _record(row)
        failure = row.failure.kind.value if row.failure else ""
        params = [row.params.get(name, "") for name in names]
        history = " ".join(f"{step}:{value!r}" for step, value in row.history.items())
        writer.writerow(
            [row.number, row.state.value, failure, row.score, *params, history, record["seconds"], row.where]
        )
    return text.getvalue()


def _table(rows: Iterable[TrialRow], names: Iterable[str]) -> None:
    names = list(names)
    table = Table(box=None, pad_edge=False)
    for name in (*_COLUMNS, *names, "steps", "seconds", "where"):
        table.add_column(name, overflow="fold")
    for row in rows:
        failure = row.failure.kind.value if row.failure else ""
        score = "" if row.score is None else brief(row.score)
        params = [brief(row.params[name]) if name in row.params else "" for name in names]
        steps = str(len(row.history)) + (f" (as {row.reused})" if row.reused is not None else "")
        table.add_row(str(row.number), row.state.value, failure, score, *params, steps, f"{row.seconds:.1f}", row.where)
    console_here().print(table)
