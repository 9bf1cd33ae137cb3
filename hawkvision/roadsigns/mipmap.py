"""Mip pyramids: pre-shrunk copies of a sprite, so that warping it small does not alias."""

from __future__ import annotations

from typing import cast

import cv2

from hawkvision.roadsigns.arrays import Image

_SMALLEST = 14


def build_pyramid(image: Image) -> tuple[Image, ...]:
    """Copies of a square image, largest first, each 1/sqrt(2) of the one before."""
    levels, side, step = [image], image.shape[0], 1
    while (small := round(side / 2 ** (step / 2))) >= _SMALLEST:
        levels.append(cast(Image, cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)))
        step += 1
    return tuple(levels)


def pick_level(pyramid: tuple[Image, ...], wanted: float) -> Image:
    """The smallest level at least `wanted` pixels wide (the largest one if none is)."""
    chosen = pyramid[0]
    for level in pyramid:
        if level.shape[0] < wanted:
            break
        chosen = level
    return chosen
