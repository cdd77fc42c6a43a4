"""A search in words and tables of plain values, for any form of report."""

from __future__ import annotations

import math
import shlex
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

from litune.algorithms.terms import PAUSING
from litune.config.documents import display_path
from litune.report import confirmed
from litune.report.confirmed import Table
from litune.report.console import brief, describe
from litune.report.facts import Facts, wall_seconds
from litune.report.importance import Importance
from litune.report.progress import clock, improvements, in_legs
from litune.steps import step_name
from litune.table import TrialRow
from litune.trial import TrialState


def sentences(facts: Facts, found: Sequence[Importance]) -> list[str]:
    """Say what was searched, what won, by how much, and how sure that is."""
    terms, metric = facts.about["terms"], facts.objective.metric
    names = facts.space.names
    word = "largest" if facts.objective.maximize else "smallest"
    states = ", ".join(f"{count} {state.value.lower()}" for state in TrialState if (count := facts.count(state)))
    said = [
        f"Searched {len(names)} param{'s' * (len(names) != 1)} ({', '.join(names)}) for the {word} {metric} in "
        f"{len(facts.rows)} trials ({states or 'none yet'}) by {terms['algorithm']}, pruner {terms['pruner']}, "
        f"in {clock(wall_seconds(facts))}."
    ]
    if why := facts.about.get("why"):
        said.append(f"auto chose {terms['algorithm']}: {why}.")
    if spread := in_legs(facts.rows, terms["max_steps"], step_name(facts.config)):
        said.append(f"It spent {spread}.")
    if not facts.board:
        return [*said, "No trial was completed, so nothing won."]
    best = facts.board[0]
    said.append(f"Trial {best.number} won with {metric} = {brief(best.score)}: {describe(best.params)}.")
    said += _margin(facts)
    if (own := facts.baseline) and own is not best:
        said.append(f"The config's own params, trial {own.number}, have {metric} = {brief(own.score)}.")
    last = improvements(facts.rows, facts.objective)[-1].number
    said.append(f"The best score was last improved by trial {last} of {len(facts.rows)}.")
    if found:
        first = found[0]
        said.append(
            f"{first.name} matters most: {first.share:.0%} of what the params matter "
            f"({first.low:.0%} to {first.high:.0%} over resampled trials)."
        )
    if facts.confirmation:
        return said + confirmed.sentences(facts.confirmation, facts.objective)[:1]
    said.append("Each score is of one seed: part of the winner's lead may be luck, as the best of many scores is.")
    return said


def _margin(facts: Facts) -> list[str]:
    """Say by how much the winner leads the next one and the median."""
    other = [row for row in facts.board[1:] if row.params != facts.board[0].params]
    scores = [row.score for row in facts.board if row.score is not None and math.isfinite(row.score)]
    if not other or len(scores) < 3:
        return []
    lead = abs((facts.board[0].score or 0.0) - (other[0].score or 0.0))
    middle = statistics.median(scores)
    close = sum(abs(score - scores[0]) <= 0.01 * abs(scores[0]) for score in scores[1:])
    ahead = f"leads trial {other[0].number}, the next with other params, by {brief(lead)}"
    if not lead:
        ahead = f"ties with trial {other[0].number}, and won as the earlier one"
    return [
        f"It {ahead}; it leads the median {facts.ranked} by {brief(abs(scores[0] - middle))}; "
        f"{close} of {len(scores) - 1} others are within 1% of it."
    ]


def board(facts: Facts, top: int = 10) -> Table:
    """Return the best trials."""
    names = facts.space.names
    rows = [
        [str(rank), str(row.number), brief(row.score), *_values(row, names), *_effort(row)]
        for rank, row in enumerate(facts.board[:top], start=1)
    ]
    return ["#", "trial", facts.objective.metric, *names, "validations", "seconds"], rows


def failures(facts: Facts) -> Table:
    """Return the failed trials by cause: class and last line of the message."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in facts.rows:
        if row.failure:
            lines = row.failure.message.strip().splitlines() or [""]
            groups[row.failure.kind.value, lines[-1]].append(row.number)
    rows = [
        [str(len(numbers)), kind, message, _numbers(numbers)]
        for (kind, message), numbers in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    return ["count", "cause", "last line", "trials"], rows


def environment(facts: Facts) -> Table:
    """Return what the trial table is a function of, and what it was made with."""
    terms = facts.about["terms"]
    rows: list[Sequence[str]] = [["run", display_path(facts.directory)], ["experiment", str(facts.config.experiment)]]
    rows += [["backend", str(facts.config.backend.name)], ["digest", facts.digest]]
    rows += [[name, str(facts.about[name])] for name in ("command", "commit") if facts.about.get(name)]
    rows += [[name.replace("_", " "), str(value)] for name, value in terms.items()]
    rows += [[name, str(version)] for name, version in facts.about["made_with"].items()]
    return ["what", "value"], rows


def commands(facts: Facts) -> list[tuple[str, str]]:
    """Return (what for, command) of what one does next with the run."""
    place = shlex.quote(display_path(facts.directory))
    again = f"litune search --config-file {place}/config.yaml name={shlex.quote(f'{facts.name}-again')}"
    legs = facts.about["terms"]["algorithm"] in PAUSING  # what these decide depends on when there was more to spend
    unless = ", unless it was given more on its way" if legs else ""
    found = [(f"the same search again; its last line must be the digest{unless}", again)]
    if facts.board:
        best = facts.confirmation.winner.row if facts.confirmation else facts.board[0]
        found.append(("train the best again", f"litune train --config-file {place}/best.yaml"))
        if not best.schedule:  # else there is no one training to repeat
            found.append(("check that it gives the same bits", f"litune train replay={place} trial={best.number}"))
    found.append(("every trial as CSV", f"litune trials {place} --format csv"))
    if facts.board and facts.confirmation is None:
        found.append(("find out how good the best ones are on other seeds", f"litune confirm {place}"))
    return found


def _values(row: TrialRow, names: Iterable[str]) -> list[str]:
    return [brief(row.params[name]) if name in row.params else "" for name in names]


def _effort(row: TrialRow) -> list[str]:
    return [str(len(row.history)), f"{row.seconds:.1f}"]


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:12])) + (", …" if len(numbers) > 12 else "")
