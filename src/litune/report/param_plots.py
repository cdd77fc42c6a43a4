"""The pictures of a search over its params: importances, slices, parallel coordinates, contour."""

from __future__ import annotations

import math
from collections.abc import Sequence

from litune.report import svg
from litune.report.facts import Facts
from litune.report.importance import Importance
from litune.report.plots import kind_of, scored, tip
from litune.space.parameters import Categorical
from litune.space.space import name_of

_CELLS = 24
_NAME = 14  # letters that fit between two axes
_NEIGHBOURHOOD = 0.12  # width of the contour's kernel, in parts of an axis


def importances(found: Sequence[Importance]) -> str:
    """Draw each param's share as a bar, with its bootstrap interval as a whisker."""
    if not found:
        return ""
    row, left = 34, 12
    width = svg.WIDTH - left - 60
    parts = []
    for place, one in enumerate(found):
        top = 6 + place * row
        parts.append(svg.text(left, top + 10, f"{one.name}  {one.share:.0%} ({one.low:.0%} to {one.high:.0%})"))
        parts.append(svg.box(left, top + 14, width * one.share, 10, "bar complete", one.name))
        low, high = left + width * one.low, left + width * one.high
        parts.append(f'<path class="axis" d="M{low:.1f} {top + 14}v10m0 -5H{high:.1f}m0 -5v10"/>')
    return svg.picture(parts, svg.WIDTH, 12 + row * len(found), "How much each param matters for the score")


def slices(facts: Facts) -> list[str]:
    """Draw the score over each param, a picture a param."""
    pictures = []
    y = svg.around([row.score or 0.0 for row in scored(facts)])
    for name in _varied(facts):
        frame = svg.Frame(x=scale(facts, name), y=y, height=240)
        marks = [
            svg.dot(*frame.place(_shown(row.params[name]), row.score), kind_of(facts, row), tip(facts, row))
            for row in scored(facts)
            if name in row.params
        ]
        pictures.append(svg.chart(frame, marks, title=f"Score over {name}", x=name, y=facts.objective.metric))
    return pictures


def parallel(facts: Facts) -> str:
    """Draw each trial on the board as a line across an axis a param, the better the darker."""
    names = _varied(facts)
    rows = [row for row in facts.board if all(name in row.params for name in names)][::-1]
    if len(names) < 2 or not rows:
        return ""
    width, top, floor = max(svg.WIDTH, 120 * (len(names) + 1)), 34, 260
    axes = [*((name, scale(facts, name)) for name in names)]
    axes.append((facts.objective.metric, svg.around([row.score or 0.0 for row in rows])))
    across = [50 + index * (width - 100) / (len(axes) - 1) for index in range(len(axes))]
    parts = []
    for place, row in enumerate(rows):
        values = [*(_shown(row.params[name]) for name in names), row.score]
        held = zip(across, axes, values, strict=True)
        points = [(x, floor - axis.at(value) * (floor - top)) for x, (_, axis), value in held]
        kind = "best" if place == len(rows) - 1 else f"complete third{3 * place // len(rows)}"
        parts.append(svg.line(points, f"curve {kind}", tip(facts, row)))
    for x, (name, axis) in zip(across, axes, strict=True):
        parts.append(f'<path class="axis" d="M{x:.1f} {top}V{floor}"/>')
        parts.append(svg.text(x, 18, svg.short(name.rpartition(".")[2], _NAME), anchor="middle", kind="label"))
        ticks = axis.ticks()
        for at, label in ticks if axis.choices else [ticks[0], ticks[-1]] if ticks else []:
            parts.append(svg.text(x + 4, floor - at * (floor - top) + 4, svg.short(label, _NAME)))
    title = f"Each {facts.ranked} as a line across its params and its score"
    return svg.picture(parts, width, floor + 20, title, broad=True)


def contour(facts: Facts, names: Sequence[str]) -> str:
    """Draw the score over two params: darker is better; shown only where trials are near."""
    rows = [row for row in scored(facts) if all(name in row.params for name in names)]
    if len(names) != 2 or len(rows) < 3:
        return ""
    frame = svg.Frame(x=scale(facts, names[0]), y=scale(facts, names[1]))
    points = [(frame.x.at(_shown(row.params[names[0]])), frame.y.at(_shown(row.params[names[1]]))) for row in rows]
    sign = facts.objective.sign
    ranked = {value: place for place, value in enumerate(sorted({sign * (row.score or 0.0) for row in rows}))}
    levels = [ranked[sign * (row.score or 0.0)] / max(1, len(ranked) - 1) for row in rows]
    # whole numbers: neighbours share an edge, whatever the page makes of its scale
    across = [round(svg.LEFT + place / _CELLS * (svg.WIDTH - svg.LEFT - svg.RIGHT)) for place in range(_CELLS + 1)]
    up = [round(place / _CELLS * (frame.height - svg.TOP - svg.BOTTOM)) for place in range(_CELLS + 1)]
    marks = []
    for column in range(_CELLS):
        for level in range(_CELLS):
            x, y = (column + 0.5) / _CELLS, (level + 0.5) / _CELLS
            weights = [math.exp(-(((x - a) ** 2 + (y - b) ** 2) / _NEIGHBOURHOOD**2)) for a, b in points]
            if max(weights) > 0.1:
                shade = sum(weight * value for weight, value in zip(weights, levels, strict=True)) / sum(weights)
                wide, high = across[column + 1] - across[column], up[level + 1] - up[level]
                left, top = across[column], frame.height - svg.BOTTOM - up[level + 1]
                marks.append(svg.box(left, top, wide, high, "cell", shade=0.05 + 0.75 * shade))
    for row in rows:
        place = frame.place(*(_shown(row.params[name]) for name in names))
        marks += [svg.dot(*place, kind_of(facts, row), tip(facts, row))]
    return svg.chart(frame, marks, title=f"Rank of the score over {names[0]} and {names[1]}", x=names[0], y=names[1])


def scale(facts: Facts, name: str) -> svg.Scale:
    """Return the scale of a param: its choices, else the range that was tried, as its distribution is drawn."""
    mine = [parameter for key, parameter in facts.space.parameters.items() if name_of(key) == name]
    values = [row.params[name] for row in scored(facts) if name in row.params]
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if not numeric or any(isinstance(parameter, Categorical) for parameter in mine):
        choices = [choice for one in mine if isinstance(one, Categorical) for choice in one.choices]
        return svg.Scale(choices=tuple(dict.fromkeys(str(value) for value in [*choices, *values])))
    return svg.around(values, log=all(getattr(parameter, "log", False) for parameter in mine))


def _shown(value: object) -> object:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _varied(facts: Facts) -> list[str]:
    """Return the params of which more than one value was tried."""
    rows = scored(facts)
    tried = {name: {str(row.params[name]) for row in rows if name in row.params} for name in facts.space.names}
    return [name for name, values in tried.items() if len(values) > 1]
