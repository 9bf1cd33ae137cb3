"""Sign faces as vector drawings, rendered once per class and style and kept as mip pyramids."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hawkvision.roadsigns import symbols
from hawkvision.roadsigns.arrays import Color, Image, Point
from hawkvision.roadsigns.canvas import Canvas, arc
from hawkvision.roadsigns.classes import CLASSES, check_class_id
from hawkvision.roadsigns.glyphs import draw_text
from hawkvision.roadsigns.mipmap import build_pyramid
from hawkvision.roadsigns.symbols import BLACK, BLUE, GREY, RED, WHITE, YELLOW

FACE_SIDE = 256


@dataclass(frozen=True)
class Style:
    """National differences that do not change the meaning of a sign."""

    ground: Color
    digit_width: float
    digit_weight: float
    ring: float


STYLES: tuple[Style, ...] = (
    Style(ground=WHITE, digit_width=0.60, digit_weight=0.165, ring=0.20),
    Style(ground=WHITE, digit_width=0.56, digit_weight=0.140, ring=0.23),
    Style(ground=WHITE, digit_width=0.66, digit_weight=0.185, ring=0.17),
    Style(ground=(250, 205, 40), digit_width=0.60, digit_weight=0.160, ring=0.21),
)

_TRIANGLE: tuple[Point, ...] = ((0.0, -0.80), (0.83, 0.63), (-0.83, 0.63))
_CENTROID_Y = 0.153


def _scaled(points: tuple[Point, ...], factor: float, middle_y: float) -> list[Point]:
    return [(x * factor, middle_y + (y - middle_y) * factor) for x, y in points]


def _prohibition(canvas: Canvas, style: Style, ground: Color | None = None) -> None:
    canvas.disc((0, 0), 0.97, WHITE)
    canvas.disc((0, 0), 0.94, RED)
    canvas.disc((0, 0), 0.94 - style.ring, style.ground if ground is None else ground)


def _mandatory(canvas: Canvas) -> None:
    canvas.disc((0, 0), 0.97, WHITE)
    canvas.disc((0, 0), 0.93, BLUE)


def _warning(canvas: Canvas, style: Style) -> None:
    canvas.rounded(_TRIANGLE, 0.13, WHITE)
    canvas.rounded(_TRIANGLE, 0.10, RED)
    canvas.rounded(_scaled(_TRIANGLE, 0.82 - style.ring * 0.5, _CENTROID_Y), 0.04, style.ground)


def _speed_limit(canvas: Canvas, style: Style, text: str) -> None:
    _prohibition(canvas, style)
    long = len(text) == 3
    draw_text(
        canvas,
        text,
        height=0.68 if long else 0.80,
        width=style.digit_width * (0.88 if long else 1.0),
        weight=style.digit_weight * (0.96 if long else 1.0),
        color=BLACK,
    )


def _stop(canvas: Canvas, _: Style) -> None:
    angles = [math.radians(22.5 + 45 * k) for k in range(8)]
    corners = [(0.98 * math.cos(a), 0.98 * math.sin(a)) for a in angles]
    canvas.polygon(corners, WHITE)
    canvas.polygon([(x * 0.94, y * 0.94) for x, y in corners], RED)
    draw_text(canvas, "STOP", height=0.62, width=0.52, weight=0.15, color=WHITE, gap=0.12)


def _yield(canvas: Canvas, style: Style) -> None:
    inverted = tuple((x, -y) for x, y in _TRIANGLE)
    canvas.rounded(inverted, 0.13, WHITE)
    canvas.rounded(inverted, 0.10, RED)
    canvas.rounded(_scaled(inverted, 0.78 - style.ring * 0.5, -_CENTROID_Y), 0.04, style.ground)


def _no_entry(canvas: Canvas, _: Style) -> None:
    canvas.disc((0, 0), 0.97, WHITE)
    canvas.disc((0, 0), 0.93, RED)
    canvas.polygon([(-0.72, -0.17), (0.72, -0.17), (0.72, 0.17), (-0.72, 0.17)], WHITE)


def _no_overtaking(canvas: Canvas, style: Style) -> None:
    _prohibition(canvas, style)
    symbols.car(canvas, (-0.31, 0.0), 1.25, RED, style.ground)
    symbols.car(canvas, (0.31, 0.0), 1.25, BLACK, style.ground)


def _waiting(canvas: Canvas, style: Style, *, cross: bool) -> None:
    _prohibition(canvas, style, BLUE)
    reach = 0.60
    canvas.stroke([(-reach, -reach), (reach, reach)], 0.17, RED)
    if cross:
        canvas.stroke([(reach, -reach), (-reach, reach)], 0.17, RED)


def _end_of_restrictions(canvas: Canvas, _: Style) -> None:
    canvas.disc((0, 0), 0.97, GREY)
    canvas.disc((0, 0), 0.93, WHITE)
    symbols.end_stripes(canvas, 0.92)
    canvas.ring(0.97, 0.92, BLACK)


def _priority_road(canvas: Canvas, _: Style, *, end: bool) -> None:
    for reach, color in ((0.93, BLACK), (0.90, WHITE), (0.60, BLACK), (0.57, YELLOW)):
        canvas.rounded([(0, -reach), (reach, 0), (0, reach), (-reach, 0)], 0.04, color)
    if end:
        symbols.end_stripes(canvas, 0.66)


def _bent_arrow(canvas: Canvas, side: float) -> None:
    _mandatory(canvas)
    turn = arc((0.10, 0.02), 0.30, 0.30, 180, 270)
    path = [(-0.20, 0.62), *turn, (0.28, -0.28)]
    canvas.arrow([(side * x, y) for x, y in path], 0.24, 0.34, WHITE)


def _keep(canvas: Canvas, side: float) -> None:
    _mandatory(canvas)
    canvas.arrow([(-0.50 * side, -0.50), (0.22 * side, 0.22)], 0.25, 0.38, WHITE)


def _straight_ahead(canvas: Canvas, _: Style) -> None:
    _mandatory(canvas)
    canvas.arrow([(0.0, 0.70), (0.0, -0.22)], 0.25, 0.40, WHITE)


def _roundabout(canvas: Canvas, _: Style) -> None:
    _mandatory(canvas)
    for start in (-30, 90, 210):
        canvas.arrow(arc((0, 0), 0.50, 0.50, start, start - 68), 0.17, 0.235, WHITE)


def _general_warning(canvas: Canvas, style: Style) -> None:
    _warning(canvas, style)
    canvas.polygon([(-0.105, -0.34), (0.105, -0.34), (0.065, 0.20), (-0.065, 0.20)], BLACK)
    canvas.disc((0, 0.37), 0.10, BLACK)


def _bend(canvas: Canvas, style: Style, side: float) -> None:
    _warning(canvas, style)
    turn = arc((-0.12, 0.14), 0.22, 0.22, 0, -62)
    path = [(0.10, 0.50), *turn, (-0.11, -0.07)]
    canvas.arrow([(-side * x, y) for x, y in path], 0.15, 0.20, BLACK)


def _crossroads(canvas: Canvas, style: Style) -> None:
    _warning(canvas, style)
    for side in (-1, 1):
        canvas.stroke([(-0.28 * side, -0.09), (0.28 * side, 0.47)], 0.16, BLACK)


def _road_narrows(canvas: Canvas, style: Style) -> None:
    _warning(canvas, style)
    for side in (-1, 1):
        path = [(0.30, 0.51), (0.30, 0.30), (0.12, 0.08), (0.12, -0.24)]
        canvas.stroke([(x * side, y) for x, y in path], 0.12, BLACK)


def _traffic_signals(canvas: Canvas, style: Style) -> None:
    _warning(canvas, style)
    canvas.rounded([(-0.09, -0.22), (0.09, -0.22), (0.09, 0.46), (-0.09, 0.46)], 0.05, BLACK)
    lamps = ((-0.14, (215, 30, 35)), (0.12, (250, 190, 20)), (0.38, (20, 150, 80)))
    for y, color in lamps:
        canvas.disc((0, y), 0.105, color)


def _square(canvas: Canvas) -> None:
    canvas.rounded([(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)], 0.09, WHITE)
    canvas.rounded([(-0.83, -0.83), (0.83, -0.83), (0.83, 0.83), (-0.83, 0.83)], 0.07, BLUE)


def _pedestrian_crossing(canvas: Canvas, _: Style) -> None:
    _square(canvas)
    canvas.polygon([(0, -0.72), (0.78, 0.66), (-0.78, 0.66)], WHITE)
    symbols.pedestrian(canvas, (0.02, 0.10), 1.0, BLACK)


def _parking(canvas: Canvas, style: Style) -> None:
    _square(canvas)
    draw_text(canvas, "P", height=1.25, width=0.68, weight=style.digit_weight * 1.25, color=WHITE)


_PAINTERS: dict[str, Callable[[Canvas, Style], None]] = {
    "stop": _stop,
    "yield": _yield,
    "no_entry": _no_entry,
    "no_vehicles": _prohibition,
    "no_overtaking": _no_overtaking,
    "no_parking": lambda canvas, style: _waiting(canvas, style, cross=False),
    "no_stopping": lambda canvas, style: _waiting(canvas, style, cross=True),
    "end_of_restrictions": _end_of_restrictions,
    "priority_road": lambda canvas, style: _priority_road(canvas, style, end=False),
    "end_of_priority_road": lambda canvas, style: _priority_road(canvas, style, end=True),
    "keep_right": lambda canvas, _: _keep(canvas, 1.0),
    "keep_left": lambda canvas, _: _keep(canvas, -1.0),
    "turn_right_ahead": lambda canvas, _: _bent_arrow(canvas, 1.0),
    "turn_left_ahead": lambda canvas, _: _bent_arrow(canvas, -1.0),
    "straight_ahead": _straight_ahead,
    "roundabout": _roundabout,
    "general_warning": _general_warning,
    "bend_left": lambda canvas, style: _bend(canvas, style, -1.0),
    "bend_right": lambda canvas, style: _bend(canvas, style, 1.0),
    "crossroads": _crossroads,
    "road_narrows": _road_narrows,
    "traffic_signals": _traffic_signals,
    "pedestrian_crossing": _pedestrian_crossing,
    "parking": _parking,
}


@cache
def face_pyramid(class_id: int, style: int) -> tuple[Image, ...]:
    """Premultiplied RGBA faces of one class, uint8 [s, s, 4], largest (256 px) first.

    Raises ValueError for an unknown class or style.
    """
    check_class_id(class_id)
    if not 0 <= style < len(STYLES):
        raise ValueError(f"style must be in 0..{len(STYLES) - 1}, got {style}")
    label, canvas = CLASSES[class_id], Canvas(FACE_SIDE)
    if label.startswith("speed_limit_"):
        _speed_limit(canvas, STYLES[style], label.removeprefix("speed_limit_"))
    else:
        _PAINTERS[label](canvas, STYLES[style])
    return build_pyramid(canvas.finish())
