"""Pictograms and paint colours that several sign faces share."""

from __future__ import annotations

import math

from hawkvision.roadsigns.arrays import Color, Point
from hawkvision.roadsigns.canvas import Canvas

RED: Color = (188, 28, 38)
BLUE: Color = (12, 82, 160)
YELLOW: Color = (246, 186, 10)
WHITE: Color = (242, 243, 240)
BLACK: Color = (24, 25, 27)
GREY: Color = (150, 152, 154)


def car(canvas: Canvas, center: Point, scale: float, color: Color, glass: Color) -> None:
    """A car seen from behind, about 0.44 x 0.44 units at scale 1."""
    x, y = center

    def at(points: list[Point]) -> list[Point]:
        return [(x + px * scale, y + py * scale) for px, py in points]

    for side in (-1, 1):
        wheel = [(0.11, 0.08), (0.20, 0.08), (0.20, 0.23), (0.11, 0.23)]
        canvas.polygon(at([(side * px, py) for px, py in wheel]), color)
    canvas.polygon(at([(-0.17, -0.02), (-0.12, -0.20), (0.12, -0.20), (0.17, -0.02)]), color)
    canvas.polygon(at([(-0.115, -0.04), (-0.085, -0.15), (0.085, -0.15), (0.115, -0.04)]), glass)
    body = at([(-0.19, 0.0), (0.19, 0.0), (0.19, 0.11), (-0.19, 0.11)])
    canvas.rounded(body, 0.03 * scale, color)


def pedestrian(canvas: Canvas, center: Point, scale: float, color: Color) -> None:
    """A person walking to the left over a zebra crossing, about 0.9 units tall at scale 1."""
    x, y = center

    def at(points: list[Point]) -> list[Point]:
        return [(x + px * scale, y + py * scale) for px, py in points]

    canvas.disc(at([(0.0, -0.43)])[0], 0.085 * scale, color)
    canvas.polygon(at([(-0.10, -0.32), (0.10, -0.32), (0.08, 0.06), (-0.08, 0.06)]), color)
    limbs: tuple[tuple[list[Point], float], ...] = (
        ([(0.04, 0.02), (0.10, 0.22), (0.20, 0.46)], 0.10),
        ([(-0.03, 0.02), (-0.10, 0.22), (-0.16, 0.46)], 0.10),
        ([(-0.07, -0.28), (-0.18, -0.12), (-0.25, 0.0)], 0.07),
        ([(0.07, -0.28), (0.17, -0.12), (0.22, 0.02)], 0.07),
    )
    for points, width in limbs:
        canvas.stroke(at(points), width * scale, color)
    for k in range(-2, 3):
        left = 0.24 * k
        bar = [(left - 0.07, 0.53), (left + 0.07, 0.53), (left + 0.07, 0.44), (left - 0.07, 0.44)]
        if abs(k) == 2:
            canvas.polygon(at(bar), color)


def end_stripes(canvas: Canvas, radius: float) -> None:
    """Five thin black stripes from the lower left to the upper right, inside a circle."""
    for k in range(-2, 3):
        offset = 0.125 * k
        half = math.sqrt(max(radius**2 - offset**2, 0.0))
        mx, my = offset * math.sqrt(0.5), offset * math.sqrt(0.5)
        dx = half * math.sqrt(0.5)
        canvas.stroke([(mx - dx, my + dx), (mx + dx, my - dx)], 0.062, BLACK)
