"""The pictures of a search over trials and over time: history, learning curves, timeline."""

from __future__ import annotations

import math

from litune.report import svg
from litune.report.console import brief, describe
from litune.report.facts import Facts, best_so_far, wall_seconds
from litune.report.progress import clock
from litune.table import Span, TrialRow
from litune.trial import TrialState

_CLOSE = 0.03  # seconds that two spans of one worker may overlap by, as they are kept to hundredths
_KIND = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAILED: "failed"}


def kind_of(facts: Facts, row: TrialRow) -> str:
    """Return how a trial is drawn."""
    return "best" if facts.board and row.number == facts.board[0].number else _KIND.get(row.state, "running")


def tip(facts: Facts, row: TrialRow) -> str:
    """Return what a trial's mark says when it is pointed at."""
    score = "" if row.score is None else f" {facts.objective.metric}={brief(row.score)}"
    return f"trial {row.number} {row.state.value}{score}\n{describe(row.params)}"


def scored(facts: Facts) -> list[TrialRow]:
    """Return the trials that have a finite score, the best one last so that it is drawn on top."""
    found = [row for row in facts.rows if row.ended and row.score is not None and math.isfinite(row.score)]
    return sorted(found, key=lambda row: kind_of(facts, row) == "best")


def history(facts: Facts) -> str:
    """Draw every score by trial number, and the best so far as a line."""
    found, curve = scored(facts), best_so_far(facts)
    if not found:
        return ""
    x, y = svg.around([row.number for row in facts.rows]), svg.around([row.score or 0.0 for row in found])
    frame = svg.Frame(x=x, y=y)
    marks = [svg.line(frame.stairs(curve), "path", "best so far")] if curve else []
    marks += [svg.dot(*frame.place(row.number, row.score), kind_of(facts, row), tip(facts, row)) for row in found]
    title = f"Score of each of {len(facts.rows)} trials by number, with the best so far as a line"
    return svg.chart(frame, marks, title=title, x="trial", y=facts.objective.metric)


def curves(facts: Facts) -> str:
    """Draw each trial's metric over its validations; pruned ones grey and dashed, the best one thick."""
    ran = [row for row in facts.rows if row.history and row.reused is None]
    values = sorted(value for row in ran for value in row.history.values() if math.isfinite(value))
    if not values:
        return ""
    steps = svg.around([step for row in ran for step in row.history])
    # A diverged trial must not flatten the others: what lies far outside the middle of the values is cut off.
    near, far = values[len(values) // 10], values[-1 - len(values) // 10]
    room = 3 * (far - near) or 1.0
    frame = svg.Frame(x=steps, y=svg.around([value for value in values if near - room <= value <= far + room]))
    order = {"pruned": 0, "failed": 1, "running": 2, "complete": 3, "best": 4}
    marks = []
    for row in sorted(ran, key=lambda row: order[kind_of(facts, row)]):
        points = [(step, value) for step, value in sorted(row.history.items()) if 0 <= frame.y.at(value) <= 1]
        if points:
            placed = [frame.place(*point) for point in points]
            marks.append(svg.line(placed, f"curve {kind_of(facts, row)}", tip(facts, row)))
    title = "Learning curves of the trials; pruned ones dashed, the best one thick"
    return svg.chart(frame, marks, title=title, x="validation", y=facts.objective.metric)


def timeline(facts: Facts) -> str:
    """Draw when each worker ran which trial; gaps are idle time."""
    lanes = _lanes(facts)
    if not lanes:
        return ""
    begin = min(span.started for lane in lanes for span, _ in lane)
    names = tuple(str(number) for number in range(len(lanes), 0, -1))
    height = svg.TOP + svg.BOTTOM + 26 * len(lanes)
    frame = svg.Frame(
        x=svg.Scale(low=0.0, high=max(wall_seconds(facts), 1e-3)), y=svg.Scale(choices=names), height=height
    )
    marks = []
    for number, lane in enumerate(lanes, start=1):
        for span, row in lane:
            left, middle = frame.place(span.started - begin, str(number))
            right = frame.place(span.ended - begin, str(number))[0]
            words = f"{tip(facts, row)}\n{clock(span.seconds)} {row.where}".strip()
            marks.append(svg.box(left, middle - 8, right - left, 16, f"bar {kind_of(facts, row)}", words))
    title = f"Which worker ran which trial when; {idle(facts)}"
    return svg.chart(frame, marks, title=title, x="seconds since the first trial started", y="worker")


def idle(facts: Facts) -> str:
    """Return in words how much of the workers' time held no trial."""
    lanes = _lanes(facts)
    whole = wall_seconds(facts) * len(lanes)
    if not whole:
        return "no trial ran"
    busy = sum(span.seconds for lane in lanes for span, _ in lane)
    return f"{len(lanes)} at once, idle {max(0.0, 1 - busy / whole):.0%} of {clock(wall_seconds(facts))}"


def _lanes(facts: Facts) -> list[list[tuple[Span, TrialRow]]]:
    """Return the spans in which trials ran, put into as few rows as hold them without overlap."""
    ran = [(span, row) for row in facts.rows for span in row.spans]
    lanes: list[list[tuple[Span, TrialRow]]] = []
    for span, row in sorted(ran, key=lambda pair: pair[0]):
        free = (lane for lane in lanes if lane[-1][0].ended <= span.started + _CLOSE)
        if lane := next(free, None):
            lane.append((span, row))
        else:
            lanes.append([(span, row)])
    return lanes
