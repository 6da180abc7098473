"""Pictures of simulations as SVG: stacked areas and lines over time, one panel above the other, for light and dark pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 840, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 34, 26
Scale = Callable[[float], float]
_POINTS = 420
"""Points of a line: two pixels each."""

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #44403c } .title { font-weight: 600; font-size: 14px; fill: #1c1917 }
.back { fill: #fff } .grid { stroke: #e7e5e4 } .a0 { fill: #2563ebcc } .a1 { fill: #7c3aedcc } .a2 { fill: #f59e0bcc }
.l0 { stroke: #1c1917 } .l1 { stroke: #dc2626 } .l2 { stroke: #0d9488 } .line { fill: none; stroke-width: 1.6 }
.dash { stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
text { fill: #d6d3d1 } .title { fill: #fafaf9 } .back { fill: #1c1917 } .grid { stroke: #44403c }
.l0 { stroke: #fafaf9 } .l1 { stroke: #f87171 } .l2 { stroke: #2dd4bf } }
"""


@dataclass(frozen=True, slots=True)
class Series:
    """Values over the panel's moments. `area`: stacked on the areas before it; else a line, `dashed` or not."""

    name: str
    values: Sequence[float]
    area: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: moments in seconds, what was there then. `hours`: the scale tells hours, else minutes."""

    title: str
    moments: Sequence[float]
    series: Sequence[Series]
    hours: bool = False


def svg(panels: Sequence[Panel]) -> str:
    """The panels, one above the other."""
    height = HEIGHT * len(panels)
    body = "".join(_panel(panel, HEIGHT * at) for at, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n'
        f'<style>{_STYLE}</style>\n<rect class="back" width="{WIDTH}" height="{height}"/>\n{body}</svg>\n'
    )


def step_of(most: float, ticks: int) -> float:
    """The distance of marks on a scale: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0
    unit = 1.0
    while most / unit > ticks:
        for factor in (2, 2.5, 2):
            unit *= factor
            if most / unit <= ticks:
                return unit
    return unit


def _panel(panel: Panel, top: int) -> str:
    indices = _thinned(len(panel.moments))
    moments = [panel.moments[at] for at in indices]
    stacked = [0.0] * len(indices)
    areas, lines, most = [], [], 1.0
    for series in panel.series:
        values = [float(series.values[at]) for at in indices]
        if series.area:
            under, stacked = stacked, [a + b for a, b in zip(stacked, values, strict=True)]
            areas.append((series, under, stacked))
            most = max(most, *stacked)
        else:
            lines.append((series, values))
            most = max(most, *values)
    first, last = moments[0], moments[-1]

    def x(moment: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (moment - first) / max(1e-9, last - first)

    def y(value: float) -> float:
        return top + HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / (1.05 * most)

    def path(values: Sequence[float]) -> list[str]:
        return [f"{x(at):.1f},{y(value):.1f}" for at, value in zip(moments, values, strict=True)]

    out = [f'<text class="title" x="{_LEFT}" y="{top + 20}">{escape(panel.title)}</text>']
    out += _scales(panel, x, y, most, first, last, top)
    for index, (_, under, over) in enumerate(areas):
        out.append(f'<polygon class="a{index}" points="{" ".join(path(over) + path(under)[::-1])}"/>')
    for index, (series, values) in enumerate(lines):
        dash = " dash" if series.dashed else ""
        out.append(f'<polyline class="line l{index}{dash}" points="{" ".join(path(values))}"/>')
    out += _legend([one for one, _, _ in areas], [one for one, _ in lines], top)
    return "\n".join(out) + "\n"


def _scales(panel: Panel, x: Scale, y: Scale, most: float, first: float, last: float, top: int) -> list[str]:
    out = []
    unit, value = step_of(most, 5), 0.0
    while value <= 1.04 * most:
        out.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        out.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
        value += unit
    length, name = (3600.0, "h") if panel.hours else (60.0, "min")
    unit, mark = max(1.0, step_of((last - first) / length, 12)), 0.0
    while first + mark * length <= last + 1e-6:
        at = x(first + mark * length)
        anchor = "end" if at > WIDTH - 40 else "middle"
        out.append(f'<text x="{at:.1f}" y="{top + HEIGHT - 8}" text-anchor="{anchor}">{mark:g} {name}</text>')
        mark += unit
    return out


def _legend(areas: Sequence[Series], lines: Sequence[Series], top: int) -> list[str]:
    out, at = [], WIDTH - _RIGHT
    entries = [(f"a{index}", one, True) for index, one in enumerate(areas)]
    entries += [(f"l{index}", one, False) for index, one in enumerate(lines)]
    for style, one, area in reversed(entries):
        at -= 7 * len(one.name) + 32
        if area:
            out.append(f'<rect class="{style}" x="{at}" y="{top + 11}" width="12" height="10"/>')
        else:
            dash = " dash" if one.dashed else ""
            out.append(
                f'<line class="line {style}{dash}" x1="{at - 4}" x2="{at + 12}" y1="{top + 16}" y2="{top + 16}"/>'
            )
        out.append(f'<text x="{at + 17}" y="{top + 20}">{escape(one.name)}</text>')
    return out


def _thinned(count: int) -> list[int]:
    if count <= _POINTS:
        return list(range(count))
    return sorted({round(at * (count - 1) / (_POINTS - 1)) for at in range(_POINTS)})
