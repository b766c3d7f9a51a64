"""A plot as a small SVG, written by hand: points and lines over one axis, one panel for each measure. Pure."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, TOP, BOTTOM, RIGHT = 720, 260, 64, 34, 44, 24
TICKS = 5
_STYLE = "font: 12px sans-serif"
_INK, _FAINT, _MARK = "#333", "#ddd", "#1f6feb"


class Panel(NamedTuple):
    """points: x and y, drawn as dots, and joined where `joined`. level: a line across, such as a target."""

    title: str
    x_title: str
    points: Sequence[tuple[float, float]]
    joined: bool = False
    level: float | None = None


def svg(panels: Sequence[Panel]) -> str:
    height = PANEL * len(panels)
    drawn = "".join(_panel(panel, at * PANEL) for at, panel in enumerate(panels))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" style="{_STYLE}">'
    return f'{head}<rect width="100%" height="100%" fill="white"/>{drawn}</svg>\n'


def ticks(most: float) -> list[float]:
    """Round numbers from 0 up to at least `most`, about TICKS of them."""
    most = most if most > 0 else 1.0
    step = 10.0 ** len(str(int(most)))
    while step * TICKS > most * 2:
        step /= 2 if str(step).strip("0.").startswith(("1", "2")) else 2.5
    count = int(-(-most // step))
    return [round(step * at, 6) for at in range(count + 1)]


def _panel(panel: Panel, top: float) -> str:
    xs, ys = [x for x, _ in panel.points], [y for _, y in panel.points]
    x_ticks = ticks(max(xs, default=1.0))
    y_ticks = ticks(max([*ys, panel.level or 0.0], default=1.0))
    across, down = WIDTH - LEFT - RIGHT, PANEL - TOP - BOTTOM

    def x_of(value: float) -> float:
        return round(LEFT + across * value / x_ticks[-1], 1)

    def y_of(value: float) -> float:
        return round(top + TOP + down * (1 - value / y_ticks[-1]), 1)

    parts = [_text(LEFT, top + TOP - 12, panel.title, "start", bold=True)]
    for tick in y_ticks:
        parts.append(_line(LEFT, y_of(tick), LEFT + across, y_of(tick), _FAINT))
        parts.append(_text(LEFT - 8, y_of(tick) + 4, f"{tick:g}", "end"))
    for tick in x_ticks:
        parts.append(_text(x_of(tick), top + TOP + down + 18, f"{tick:g}", "middle"))
    parts.append(_text(LEFT + across / 2, top + TOP + down + 36, panel.x_title, "middle"))
    if panel.level is not None:
        parts.append(_line(LEFT, y_of(panel.level), LEFT + across, y_of(panel.level), "#d1242f"))
    ordered = sorted(panel.points)
    if panel.joined:
        path = " ".join(f"{x_of(x)},{y_of(y)}" for x, y in ordered)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{_MARK}"/>')
    size = 3 if panel.joined else 1.6
    parts += [f'<circle cx="{x_of(x)}" cy="{y_of(y)}" r="{size}" fill="{_MARK}"/>' for x, y in ordered]
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{_INK}"{weight}>{escape(words)}</text>'
