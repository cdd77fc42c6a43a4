"""Runs side by side as one HTML page: the best so far over trials and over seconds, bands where runs differ by seed."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from html import escape

from litune.report import comparison_table, page, svg
from litune.report.console import brief, describe
from litune.report.facts import Facts, wall_seconds
from litune.report.progress import improvements

_STYLES = 4  # of lines, see page.STYLE
Curve = list[tuple[float, float]]  # (trials or seconds so far, best score so far), a point an improvement, and the end


def html(runs: Sequence[Facts]) -> str:
    """Return the whole page."""
    names = ", ".join(run.name for run in runs)
    words = "".join(
        f"<p>{escape(line)}</p>" for line in [comparison_table.heading(runs), *comparison_table.digests(runs)]
    )
    groups = grouped(runs)
    key = "; ".join(f"{_LINES[place % _STYLES]}: {label}" for place, label in enumerate(groups))
    if any(len(members) > 1 for members in groups.values()):
        key += "; a line is the median of runs that differ by their seed alone, a band holds all of them"
    metric = runs[0].objective.metric
    pictures = [
        page.figure(_chart(groups, over_trials, metric, "trials ended"), f"Best so far over trials. {key}."),
        page.figure(_chart(groups, over_seconds, metric, "seconds"), f"Best so far over time. {key}."),
    ]
    best = [[run.name, brief(run.board[0].score), describe(run.board[0].params)] for run in runs if run.board]
    parts = [
        page.section("Runs", words + page.table(comparison_table.table(runs))),
        page.section("The way to the best", page.grid(pictures)),
        page.section("Best params", page.table((["run", metric, "params"], best))),
    ]
    return page.document(f"Comparison of {names}", parts)


_LINES = ("solid", "dashed", "dotted", "dash and dot")


def grouped(runs: Sequence[Facts]) -> dict[str, list[Facts]]:
    """Return the runs that differ by their seed alone together, under a name; else each under its own."""
    alike: dict[str, list[Facts]] = defaultdict(list)
    for run in runs:
        terms = {name: value for name, value in run.about["terms"].items() if name != "seed"}
        config = {name: value for name, value in run.about["config"].items() if name != "seed"}
        meaning = [terms, config, run.about["space"], str(run.config.backend.name), len(run.rows)]
        alike[json.dumps(meaning, sort_keys=True, default=str)].append(run)
    groups: dict[str, list[Facts]] = {}
    for members in alike.values():
        seeds = {run.about["terms"]["seed"] for run in members}
        if len(seeds) == len(members) > 1:
            groups[", ".join(run.name for run in members)] = members
        else:
            groups |= {str(run.directory) if run.name in groups else run.name: [run] for run in members}
    return groups


def over_trials(run: Facts) -> Curve:
    """Return the best so far by how many trials there had been, in number order."""
    found = [(row.number + 1.0, row.score or 0.0) for row in improvements(run.rows, run.objective)]
    return [*found, (float(len(run.rows)), found[-1][1])] if found else []


def over_seconds(run: Facts) -> Curve:
    """Return the best so far by the seconds since the first trial started, in the order in which trials ended."""
    ran = sorted((row for row in run.rows if row.spans and row.ranked), key=lambda row: row.spans[-1].ended)
    begin = min((row.spans[0].started for row in run.rows if row.spans), default=0.0)
    found = [(row.spans[-1].ended - begin, row.score or 0.0) for row in improvements(ran, run.objective)]
    return [*found, (wall_seconds(run), found[-1][1])] if found else []


def _chart(groups: dict[str, list[Facts]], curve_of: Callable[[Facts], Curve], metric: str, unit: str) -> str:
    curves = {label: [curve for run in members if (curve := curve_of(run))] for label, members in groups.items()}
    points = [point for members in curves.values() for curve in members for point in curve]
    if not points:
        return ""
    frame = svg.Frame(x=svg.around([0.0, *(x for x, _ in points)]), y=svg.around([y for _, y in points]))
    marks = []
    for place, members in enumerate(curves.values()):
        if not members:
            continue
        places = sorted({x for curve in members for x, _ in curve if all(other[0][0] <= x for other in members)})
        at = [[_value(curve, x) for curve in members] for x in places]
        kind = f"run{place % _STYLES}"
        if len(members) > 1:
            edges = [frame.stairs(zip(places, map(pick, at), strict=True)) for pick in (max, min)]
            marks.append(svg.band(edges[0], edges[1], kind))
        middle = zip(places, map(statistics.median, at), strict=True)
        marks.append(svg.line(frame.stairs(middle), f"path {kind}"))
    title = f"Best {metric} so far of {', '.join(groups)} over {unit}"
    return svg.chart(frame, marks, title=title, x=unit, y=metric)


def _value(curve: Curve, x: float) -> float:
    """Return the best so far at x, which is not before the curve's first point."""
    return [value for at, value in curve if at <= x][-1]
