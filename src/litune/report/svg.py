"""Charts as inline SVG: no script, nothing to load, and marks that differ by shape as well as by colour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 12, 44
_TICKS = 5


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From values to 0..1. `choices` makes it a scale of names, in their order."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def at(self, value: object) -> float:
        """Return where on the scale a value lies."""
        if self.choices:
            return (self.choices.index(str(value)) + 0.5) / len(self.choices)
        number = float(value)  # type: ignore[arg-type] # a numeric scale is given numbers
        low, high = self.low, self.high
        if self.log:
            number, low, high = math.log(number), math.log(low), math.log(high)
        return (number - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Return (place, label) of the marks along the axis."""
        if self.choices:
            return [(self.at(name), name) for name in self.choices]
        if self.log and self.high / self.low >= 100:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            step = max(1, len(powers) // _TICKS)
            return [(self.at(10.0**power), f"{10.0**power:g}") for power in powers[::step]]
        if self.log:
            values = [self.low * (self.high / self.low) ** (index / 3) for index in range(4)]
            return [(self.at(value), f"{value:.2g}") for value in values]
        return [(self.at(value), f"{value:.6g}") for value in _round_values(self.low, self.high)]


def around(values: Iterable[float], *, log: bool = False) -> Scale:
    """Return a scale that holds the finite values, with a little room at both ends."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if log and low > 0:
        room = (high / low) ** 0.04 if high > low else 1.1
        return Scale(low=low / room, high=high * room, log=True)
    room = (high - low) * 0.04 or abs(high) * 0.05 or 0.5
    return Scale(low=low - room, high=high + room)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The plane of a chart: where its two scales lie on the picture."""

    x: Scale
    y: Scale
    width: int = WIDTH
    height: int = HEIGHT

    def place(self, x: object, y: object) -> tuple[float, float]:
        """Return the picture's coordinates of a point."""
        across = LEFT + self.x.at(x) * (self.width - LEFT - RIGHT)
        return across, self.height - BOTTOM - self.y.at(y) * (self.height - TOP - BOTTOM)

    def stairs(self, points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return the picture's coordinates of a line that stays level from each point to the next."""
        steps: list[tuple[float, float]] = []
        for point in points:
            x, y = self.place(*point)
            if steps:
                steps.append((x, steps[-1][1]))
            steps.append((x, y))
        return steps


def chart(frame: Frame, marks: Iterable[str], *, title: str, x: str, y: str) -> str:
    """Return the whole picture; `title` says in words what it shows, to those who cannot see it."""
    right, floor = frame.width - RIGHT, frame.height - BOTTOM
    parts = []
    for place, label in frame.y.ticks():
        level = floor - place * (floor - TOP)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{level:.1f}" y2="{level:.1f}"/>')
        parts.append(text(LEFT - 5, level + 4, short(label), anchor="end"))
    for place, label in frame.x.ticks():
        across = LEFT + place * (right - LEFT)
        parts.append(f'<line class="tick" x1="{across:.1f}" x2="{across:.1f}" y1="{floor}" y2="{floor + 4}"/>')
        parts.append(text(across, floor + 17, short(label), anchor="middle"))
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{right}"/>')
    parts.append(text((LEFT + right) / 2, frame.height - 8, short(x, 60), anchor="middle", kind="label"))
    turned = f'transform="translate(13 {(TOP + floor) / 2:.0f}) rotate(-90)"'
    parts.append(f'<text class="label" {turned} text-anchor="middle">{escape(y)}</text>')
    return picture([*parts, *marks], frame.width, frame.height, title)


def picture(parts: Iterable[str], width: float, height: float, title: str, *, broad: bool = False) -> str:
    """Return an SVG element around the parts; a broad one is scrolled across, not made small."""
    inner = "".join(parts)
    name = escape(title)
    shape = 'class="broad" ' * broad + f'viewBox="0 0 {width:g} {height:g}"'
    return f'<svg {shape} role="img" aria-label="{name}"><title>{name}</title>{inner}</svg>'


def text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "small") -> str:
    """Return escaped words at a place."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(points: Sequence[tuple[float, float]], kind: str, tip: str = "") -> str:
    """Return a line through the points; a single point becomes a dot."""
    if len(points) == 1:
        return dot(*points[0], kind, tip)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="mark {kind}" d="{path}">{_tip(tip)}</path>'


def band(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], kind: str) -> str:
    """Return the area between two lines."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in [*upper, *reversed(lower)]) + "Z"
    return f'<path class="mark band {kind}" d="{path}"/>'


def dot(x: float, y: float, kind: str, tip: str = "") -> str:
    """Return one trial's mark: a disc; a ring for a pruned one, a cross for a failed one, a diamond for the best."""
    if kind == "failed":
        shape = f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"
    elif kind == "best":
        shape = f"M{x:.1f} {y - 7:.1f}l6 7l-6 7l-6 -7z"
    else:
        return f'<circle class="mark {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.2">{_tip(tip)}</circle>'
    return f'<path class="mark {kind}" d="{shape}">{_tip(tip)}</path>'


def box(x: float, y: float, width: float, height: float, kind: str, tip: str = "", *, shade: float = 1.0) -> str:
    """Return a rectangle; `shade` from 0 to 1 is how dark it is."""
    size = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.8):.1f}" height="{height:.1f}"'
    return f'<rect class="mark {kind}" {size} fill-opacity="{shade:.2f}">{_tip(tip)}</rect>'


def _tip(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""


def short(label: str, most: int = 9) -> str:
    """Return a label that is cut where it would run into the next."""
    return label if len(label) <= most else label[: most - 1] + "…"


def _round_values(low: float, high: float) -> list[float]:
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next((power * factor for factor in (1, 2, 5, 10) if power * factor >= raw), power)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]
