"""What the camera does to the light: focus, shake, sensor noise and JPEG quality."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import cast

import cv2
import numpy as np

from hawkvision.roadsigns.arrays import Field, Image
from hawkvision.roadsigns.textures import sensor_noise

_BEST_QUALITY, _WORST_QUALITY = 95, 8


def blur_focus(image: Field, *, strength: float, radius: float) -> Field:
    """Gaussian defocus; `radius` is the sign's in pixels, and strength 1 blurs 0.12 of it."""
    sigma = 0.12 * strength * radius
    if sigma < 0.25:
        return image
    return cast(Field, cv2.GaussianBlur(image, (0, 0), sigma))


def blur_motion(image: Field, rolls: list[float], *, strength: float, radius: float) -> Field:
    """Directional blur of length 0.42 `radius` pixels at strength 1."""
    length = round(4 * 0.42 * strength * radius)
    if length < 6:
        return image
    kernel = _line_kernel(length, int(rolls[0] * 24))
    return cast(Field, cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE))


@lru_cache(maxsize=4096)
def _line_kernel(quarters: int, direction: int) -> Field:
    """A line of `quarters` / 4 pixels at `direction` x 7.5 degrees, summing to 1."""
    half = quarters / 8
    side = 2 * math.ceil(half) + 1
    angle = math.radians(7.5 * direction)
    kernel = np.zeros((side, side), np.float32)
    for step in np.linspace(-half, half, 4 * quarters):
        x, y = side // 2 + step * math.cos(angle), side // 2 + step * math.sin(angle)
        left, top = math.floor(x), math.floor(y)
        for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            if column < side and row < side:
                kernel[row, column] += (1 - abs(x - column)) * (1 - abs(y - row))
    return cast(Field, kernel / kernel.sum())


def expose(image: Field, rolls: list[float], *, noise: float, night: float) -> Image:
    """Shot and read noise on a float32 [0, 1] crop, then quantisation to uint8."""
    size = image.shape[0]
    level = min(noise, 2.0) * 0.075 + min(night, 1.25) * 0.03
    if level > 0.0:
        field = sensor_noise()
        room = field.shape[0] - size + 1
        top, left = int(rolls[0] * room), int(rolls[1] * room)
        grain = field[top : top + size, left : left + size]
        signal = np.sqrt(np.maximum(image, np.float32(0.0)) + np.float32(0.08))
        image = cast(Field, image + grain * signal * np.float32(level))
    return cast(Image, cv2.convertScaleAbs(np.clip(image, 0.0, 1.0), alpha=255.0))


def jpeg_quality(strength: float) -> int:
    """JPEG quality in 8..95 for a compression strength; strength 1 is quality 15."""
    return max(_WORST_QUALITY, round(_BEST_QUALITY - 80 * math.pow(strength, 0.8)))
