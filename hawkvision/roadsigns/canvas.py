"""A supersampled vector canvas in unit coordinates (x right, y down, both in [-1, 1])."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import cv2
import numpy as np

from hawkvision.roadsigns.arrays import Color, Image, Point


def arc(center: Point, rx: float, ry: float, start: float, stop: float) -> list[Point]:
    """Points of an elliptic arc from `start` to `stop` degrees (0 = right, 90 = down)."""
    steps = max(4, int(abs(stop - start) / 6))
    angles = [math.radians(start + (stop - start) * k / steps) for k in range(steps + 1)]
    return [(center[0] + rx * math.cos(a), center[1] + ry * math.sin(a)) for a in angles]


class Canvas:
    """Draws opaque shapes; `finish` returns antialiased premultiplied RGBA."""

    def __init__(self, side: int = 256, supersample: int = 4) -> None:
        self._side = side
        self._scale = side * supersample / 2.0
        self._pixels: Image = np.zeros((side * supersample, side * supersample, 4), np.uint8)

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        """Fill a simple polygon."""
        cv2.fillPoly(self._pixels, [self._to_pixels(points)], (*color, 255))

    def disc(self, center: Point, radius: float, color: Color) -> None:
        """Fill a circle."""
        x, y = ((v + 1.0) * self._scale for v in center)
        cv2.circle(
            self._pixels, (round(x), round(y)), round(radius * self._scale), (*color, 255), -1
        )

    def ring(self, outer: float, inner: float, color: Color) -> None:
        """Draw a ring around the origin between two radii."""
        middle = round(self._scale)
        cv2.circle(
            self._pixels,
            (middle, middle),
            round((outer + inner) / 2 * self._scale),
            (*color, 255),
            round((outer - inner) * self._scale),
        )

    def stroke(
        self, points: Sequence[Point], width: float, color: Color, *, closed: bool = False
    ) -> None:
        """Draw a line of the given width with round joins and flat ends."""
        path = [*points, points[0]] if closed else list(points)
        for (x0, y0), (x1, y1) in pairwise(path):
            length = math.hypot(x1 - x0, y1 - y0)
            if length == 0.0:
                continue
            nx, ny = (y0 - y1) / length * width / 2, (x1 - x0) / length * width / 2
            quad = [(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)]
            self.polygon(quad, color)
        for joint in path if closed else path[1:-1]:
            self.disc(joint, width / 2, color)

    def rounded(self, points: Sequence[Point], radius: float, color: Color) -> None:
        """Fill a polygon grown by `radius`, which rounds its corners."""
        self.polygon(points, color)
        self.stroke(points, 2 * radius, color, closed=True)

    def arrow(self, path: Sequence[Point], width: float, head: float, color: Color) -> None:
        """Draw a line whose last point carries an arrow head of half-width `head`."""
        (x0, y0), (x1, y1) = path[-2], path[-1]
        length = math.hypot(x1 - x0, y1 - y0)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        self.stroke(path, width, color)
        tip = (x1 + ux * head * 1.25, y1 + uy * head * 1.25)
        left, right = (x1 + uy * head, y1 - ux * head), (x1 - uy * head, y1 + ux * head)
        self.polygon([tip, left, right], color)

    def finish(self) -> Image:
        """The drawing as uint8 [side, side, 4], premultiplied RGBA."""
        size = (self._side, self._side)
        return cast(Image, cv2.resize(self._pixels, size, interpolation=cv2.INTER_AREA))

    def _to_pixels(
        self, points: Sequence[Point]
    ) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
        scaled = (np.asarray(points, np.float64).reshape(-1, 2) + 1.0) * self._scale
        return np.rint(scaled).astype(np.int32)
