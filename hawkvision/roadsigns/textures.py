"""Noise fields built once and then cropped at random: clouds, stains, sensor noise, rain."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import cv2
import numpy as np

from hawkvision.roadsigns.arrays import Field

FIELD_SIDE = 256
NOISE_SIDE = 640
_STAIN_FIELDS = 12


def fractal(generator: np.random.Generator, side: int, base: int, octaves: int = 4) -> Field:
    """Smooth noise in [0, 1], float32 [side, side]; `base` is the coarsest cell count."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        cells = min(base * 2**octave, side)
        grid = generator.random((cells, cells), dtype=np.float32)
        grown = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        total += grown.astype(np.float32) * 0.55**octave
    total -= total.min()
    return cast(Field, total / max(float(total.max()), 1e-6))


@lru_cache(maxsize=1)
def stain_fields() -> tuple[Field, ...]:
    """Blotchy noise fields in [0, 1], float32 [256, 256] each."""
    generator = np.random.default_rng(101)
    return tuple(fractal(generator, FIELD_SIDE, 5 + k % 4, 5) for k in range(_STAIN_FIELDS))


@lru_cache(maxsize=1)
def sensor_noise() -> Field:
    """Unit-variance noise with the slight blur of a demosaiced sensor, float32 [640, 640, 3]."""
    raw = np.random.default_rng(102).standard_normal((NOISE_SIDE, NOISE_SIDE, 3), dtype=np.float32)
    soft = cast(Field, cv2.GaussianBlur(raw, (0, 0), 0.55))
    return cast(Field, soft / soft.std())


@lru_cache(maxsize=1)
def rain_fields() -> tuple[Field, ...]:
    """Slanted streaks in [0, 1], float32 [256, 256] each."""
    generator = np.random.default_rng(103)
    fields: list[Field] = []
    for _ in range(6):
        drops = np.zeros((FIELD_SIDE, FIELD_SIDE), np.uint8)
        slant = generator.uniform(-0.35, 0.35)
        for x, y, length, shine in generator.random((170, 4)):
            start = (int(x * FIELD_SIDE), int(y * FIELD_SIDE))
            reach = 12 + 34 * length
            end = (int(start[0] + slant * reach), int(start[1] + reach))
            cv2.line(drops, start, end, (int(60 + 170 * shine),), 1, cv2.LINE_AA)
        soft = cast(Field, cv2.GaussianBlur(drops.astype(np.float32), (0, 0), 0.7))
        fields.append(soft / np.float32(255.0))
    return tuple(fields)


def crop(field: Field, size: int, zoom: float, u: float, v: float) -> Field:
    """A window of a field, resized to float32 [size, size].

    `zoom` is the share of the field seen, (u, v) in [0, 1) its place.
    """
    side = max(4, int(field.shape[0] * min(zoom, 1.0)))
    room = field.shape[0] - side + 1
    top, left = int(v * room), int(u * room)
    window = field[top : top + side, left : left + side]
    return cast(Field, cv2.resize(window, (size, size), interpolation=cv2.INTER_LINEAR))


@lru_cache(maxsize=16)
def grid(size: int) -> tuple[Field, Field]:
    """Pixel centre coordinates x and y in [-1, 1], float32 [1, size] and [size, 1]."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2.0 / size) - np.float32(1.0)
    return cast(Field, axis[None, :]), cast(Field, axis[:, None])
