"""Traffic-font digits and letters as stroked centre lines of uniform weight."""

from __future__ import annotations

from collections.abc import Callable

from hawkvision.roadsigns.arrays import Color, Point
from hawkvision.roadsigns.canvas import Canvas, arc

Path = tuple[list[Point], bool]
"""Points of a centre line in a box of height 1, and whether it is closed."""

WAIST = 0.47


def _zero(w: float, t: float) -> list[Path]:
    e, rx = t / 2, (w - t) / 2
    ry = rx * 1.2
    top, bottom = arc((w / 2, e + ry), rx, ry, 180, 360), arc((w / 2, 1 - e - ry), rx, ry, 0, 180)
    return [(top + bottom, True)]


def _one(w: float, t: float) -> list[Path]:
    x = w * 0.62
    flag = [(x - 0.3, 0.27), (x, t * 0.45), (x + 0.001, t * 0.45)]
    return [([(x, 0.0), (x, 1.0)], False), (flag, False)]


def _two(w: float, t: float) -> list[Path]:
    e, rx = t / 2, (w - t) / 2
    bowl = arc((w / 2, e + rx * 1.05), rx, rx * 1.05, 188, 395)
    return [([*bowl, (e * 1.25, 1 - e), (w, 1 - e)], False)]


def _three(w: float, t: float) -> list[Path]:
    e, rx = t / 2, (w - t) / 2
    upper, lower = (WAIST - e) / 2, (1 - e - WAIST) / 2
    top = arc((w / 2, e + upper), rx * 0.94, upper, 195, 450)
    bottom = arc((w / 2, 1 - e - lower), rx, lower, -90, 165)
    stub = [(w * 0.34, WAIST), (w * 0.55, WAIST)]
    return [(top, False), (bottom, False), (stub, False)]


def _four(w: float, t: float) -> list[Path]:
    arm = [(w * 0.56, 0.0), (t * 0.42, 0.74), (w, 0.74)]
    return [(arm, False), ([(w * 0.73, 0.42), (w * 0.73, 1.0)], False)]


def _five(w: float, t: float) -> list[Path]:
    e, rx = t / 2, (w - t) / 2
    ry = (1 - e - 0.39) / 2
    flag = [(w * 0.95, e), (e + 0.03, e), (e + 0.005, 0.5), (e + 0.004, 0.52)]
    return [(flag, False), (arc((w / 2, 1 - e - ry), rx, ry, -150, 160), False)]


def _six(w: float, t: float) -> list[Path]:
    e, rx = t / 2, (w - t) / 2
    ry, cap = (1 - e - 0.41) / 2, rx * 1.15
    bowl = arc((w / 2, 1 - e - ry), rx, ry, 0, 360)
    stem = [(e, 1 - e - ry), *arc((w / 2, e + cap), rx, cap, 180, 335)]
    return [(bowl, True), (stem, False)]


def _seven(w: float, t: float) -> list[Path]:
    e = t / 2
    return [([(0.0, e), (w - e, e), (w * 0.34, 1.0)], False)]


def _eight(w: float, t: float) -> list[Path]:
    e, rx = t / 2, (w - t) / 2
    upper, lower = (WAIST - e) / 2, (1 - e - WAIST) / 2
    top = arc((w / 2, e + upper), rx * 0.9, upper, 0, 360)
    return [(top, True), (arc((w / 2, 1 - e - lower), rx, lower, 0, 360), True)]


def _nine(w: float, t: float) -> list[Path]:
    return [([(w - x, 1 - y) for x, y in points], closed) for points, closed in _six(w, t)]


def _letter_s(w: float, t: float) -> list[Path]:
    e, rx = t / 2, (w - t) / 2
    upper, lower = (0.49 - e) / 2, (1 - e - 0.49) / 2
    top = arc((w / 2, e + upper), rx, upper, -20, -270)
    return [(top + arc((w / 2, 1 - e - lower), rx, lower, -90, 160), False)]


def _letter_t(w: float, t: float) -> list[Path]:
    return [([(0.0, t / 2), (w, t / 2)], False), ([(w / 2, 0.0), (w / 2, 1.0)], False)]


def _letter_p(w: float, t: float) -> list[Path]:
    e, ry = t / 2, 0.25
    bowl = arc((w - e - ry, e + ry), ry, ry, -90, 90)
    return [([(e, 1.0), (e, e), *bowl, (e, e + 2 * ry)], False)]


_GLYPHS: dict[str, Callable[[float, float], list[Path]]] = {
    "0": _zero,
    "1": _one,
    "2": _two,
    "3": _three,
    "4": _four,
    "5": _five,
    "6": _six,
    "7": _seven,
    "8": _eight,
    "9": _nine,
    "S": _letter_s,
    "T": _letter_t,
    "O": _zero,
    "P": _letter_p,
}


def draw_text(
    canvas: Canvas,
    text: str,
    *,
    center: Point = (0.0, 0.0),
    height: float,
    width: float,
    weight: float,
    color: Color,
    gap: float = 0.11,
) -> None:
    """Draw `text` centred on a point.

    `height` is in canvas units; glyph `width`, stroke `weight` and `gap` are fractions of it.
    """
    widths = [width * 0.72 if character == "1" else width for character in text]
    x = center[0] - height * (sum(widths) + gap * (len(text) - 1)) / 2
    top = center[1] - height / 2
    for character, advance in zip(text, widths, strict=True):
        for points, closed in _GLYPHS[character](advance, weight):
            path = [(x + px * height, top + py * height) for px, py in points]
            canvas.stroke(path, weight * height, color, closed=closed)
        x += height * (advance + gap)
