"""A pool of painted roadside backdrops: sky, trees, houses, streets, walls and fences."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import cv2
import numpy as np

from hawkvision.roadsigns.arrays import Field, Image
from hawkvision.roadsigns.textures import fractal

SIDE = 256
_COPIES = 10

_FACADES = ((186, 172, 150), (150, 96, 78), (205, 200, 190), (128, 128, 130), (214, 186, 120))
_PAINTS = (
    (190, 30, 40),
    (20, 80, 160),
    (240, 240, 235),
    (240, 190, 30),
    (30, 120, 70),
    (40, 40, 45),
)


def _gradient(top: Field, bottom: Field) -> Field:
    ramp = np.linspace(0.0, 1.0, SIDE, dtype=np.float32)[:, None, None]
    column = top * (1 - ramp) + bottom * ramp
    return cast(Field, np.repeat(column, SIDE, axis=1))


def _color(generator: np.random.Generator, low: tuple[int, ...], high: tuple[int, ...]) -> Field:
    blend = 0.8 * generator.random() + 0.2 * generator.random(3)
    return (np.array(low) * (1 - blend) + np.array(high) * blend).astype(np.float32)


def _image(field: Field) -> Image:
    return np.ascontiguousarray(np.clip(field, 0, 255).astype(np.uint8))


def _sky(generator: np.random.Generator) -> Image:
    overcast = generator.random() < 0.4
    if overcast:
        top = _color(generator, (150, 158, 165), (205, 210, 215))
        bottom = _color(generator, (190, 195, 200), (235, 235, 235))
    else:
        top = _color(generator, (60, 110, 180), (110, 160, 225))
        bottom = _color(generator, (160, 190, 220), (220, 228, 235))
    clouds = np.clip((fractal(generator, SIDE, 3, 6) - 0.5) * 3.0, 0, 1)[..., None]
    white = _color(generator, (200, 205, 210), (245, 245, 245))
    return _image(_gradient(top, bottom) * (1 - clouds * 0.8) + white * clouds * 0.8)


def _leaves(generator: np.random.Generator, image: Image, top: int, count: int) -> None:
    tint = generator.uniform((0.55, 0.85, 0.25), (1.05, 1.05, 0.6))
    for k in range(count):
        light = 28 + 105 * (k / count) ** 1.5 * generator.uniform(0.4, 1.2)
        x, y = generator.integers(0, SIDE), generator.integers(top - 4, SIDE)
        axes = (int(generator.integers(3, 10)), int(generator.integers(2, 6)))
        color = tuple(float(c) for c in np.clip(light * tint, 0, 255))
        angle = float(generator.uniform(0, 180))
        cv2.ellipse(image, (int(x), int(y)), axes, angle, 0, 360, color, -1, cv2.LINE_AA)


def _foliage(generator: np.random.Generator) -> Image:
    depth = fractal(generator, SIDE, 5, 5)[..., None]
    image = _image(depth * _color(generator, (40, 60, 25), (75, 100, 45)) + 12)
    _leaves(generator, image, 0, 900)
    shade = 0.45 + 0.8 * fractal(generator, SIDE, 4, 4)[..., None]
    return _image(image * shade)


def _treeline(generator: np.random.Generator) -> Image:
    image, trees = _sky(generator), _foliage(generator)
    edge = generator.integers(60, 170) + (fractal(generator, SIDE, 4, 5)[0] - 0.5) * 90
    below = np.arange(SIDE)[:, None] > edge[None, :] + generator.normal(0, 3, (SIDE, SIDE))
    image[below] = trees[below]
    for _ in range(int(generator.integers(0, 4))):
        x, width = int(generator.integers(0, SIDE)), int(generator.integers(3, 11))
        bark = tuple(float(c) for c in generator.uniform((50, 42, 35), (105, 92, 80)))
        lean = int(generator.integers(-25, 25))
        cv2.line(image, (x, SIDE), (x + lean, int(edge[x]) - 40), bark, width, cv2.LINE_AA)
    return image


def _facade(generator: np.random.Generator, image: Image, left: int, right: int, top: int) -> None:
    wall = np.array(_FACADES[generator.integers(len(_FACADES))]) * generator.uniform(0.55, 1.1)
    image[top:, left:right] = np.clip(wall, 0, 255)
    step_x, step_y = int(generator.integers(20, 46)), int(generator.integers(28, 58))
    width, height = int(step_x * generator.uniform(0.4, 0.75)), int(step_y * 0.62)
    frame = tuple(float(c) for c in np.clip(wall * generator.choice((0.6, 1.3)), 0, 250))
    for y in range(top + 10, SIDE, step_y):
        for x in range(left + 6, right - width, step_x):
            glass = tuple(float(c) for c in generator.uniform((25, 32, 42), (120, 135, 150)))
            corner = (x + width, y + height)
            cv2.rectangle(image, (x, y), corner, glass, -1)
            cv2.rectangle(image, (x, y), corner, frame, 2)
            cv2.line(image, (x + width // 2, y), (x + width // 2, y + height), frame, 1)


def _houses(generator: np.random.Generator) -> Image:
    image, left = _sky(generator), 0
    while left < SIDE:
        right = min(SIDE, left + int(generator.integers(60, 180)))
        _facade(generator, image, left, right, int(generator.integers(0, 130)))
        left = right
    return _image(image * (0.9 + 0.2 * fractal(generator, SIDE, 20, 3)[..., None]))


def _road(generator: np.random.Generator) -> Image:
    image = _treeline(generator)
    horizon = int(generator.integers(100, 170))
    verge = _color(generator, (70, 90, 40), (130, 135, 75))
    grain = fractal(generator, SIDE, 32, 4)[horizon:, :, None]
    image[horizon:] = np.clip(verge * (0.6 + 0.8 * grain), 0, 255)
    vanish = int(generator.integers(-60, SIDE + 60))
    near = int(generator.integers(-140, SIDE))
    span = int(generator.integers(140, 320))
    asphalt = np.zeros((SIDE, SIDE), np.uint8)
    lane = np.array([(vanish, horizon), (near, SIDE), (near + span, SIDE)], np.int32)
    cv2.fillPoly(asphalt, [lane], (255,))
    grey = float(generator.uniform(70, 130))
    speckle = fractal(generator, SIDE, 64, 3)[..., None]
    surface = np.repeat(grey * (0.8 + 0.4 * speckle), 3, axis=2)
    image[asphalt > 0] = np.clip(surface, 0, 255).astype(np.uint8)[asphalt > 0]
    white = (225.0, 225.0, 220.0)
    for edge in (near + 12, near + span - 12):
        cv2.line(image, (vanish, horizon), (edge, SIDE), white, 3, cv2.LINE_AA)
    for k in range(1, 6):
        a, b = (k / 6) ** 2, (k / 6) ** 2 + 0.07
        middle = near + span / 2 - vanish
        ends = [(int(vanish + middle * s), int(horizon + (SIDE - horizon) * s)) for s in (a, b)]
        cv2.line(image, ends[0], ends[1], white, 1 + k // 2, cv2.LINE_AA)
    return image


def _wall(generator: np.random.Generator) -> Image:
    tone = _color(generator, (95, 75, 65), (190, 175, 165))
    image = _image(tone * (0.75 + 0.5 * fractal(generator, SIDE, 24, 4)[..., None]))
    joint = tuple(float(c) for c in np.clip(tone * generator.choice((0.7, 1.25)), 0, 255))
    height, width = int(generator.integers(9, 40)), int(generator.integers(24, 90))
    for row, y in enumerate(range(0, SIDE, height)):
        cv2.line(image, (0, y), (SIDE, y), joint, 1, cv2.LINE_AA)
        for x in range((row % 2) * width // 2, SIDE, width):
            cv2.line(image, (x, y), (x, y + height), joint, 1, cv2.LINE_AA)
    return _image(image * (0.7 + 0.6 * fractal(generator, SIDE, 3, 3)[..., None]))


def _fence(generator: np.random.Generator) -> Image:
    image = _treeline(generator)
    steel = _color(generator, (110, 112, 115), (185, 187, 190))
    y, height = int(generator.integers(90, 200)), int(generator.integers(14, 34))
    for x in range(int(generator.integers(0, 40)), SIDE, int(generator.integers(36, 70))):
        image[y:, x : x + 6] = np.clip(steel * 0.6, 0, 255)
    for k in range(height):
        image[y + k] = np.clip(steel * (0.65 + 0.45 * abs(np.sin(k / height * 6.3))), 0, 255)
    return image


def _shops(generator: np.random.Generator) -> Image:
    image = _houses(generator)
    for _ in range(int(generator.integers(5, 11))):
        x, y = (int(v) for v in generator.integers(-20, SIDE, 2))
        width, height = (int(v) for v in generator.integers(16, 84, 2))
        ground, ink = (_PAINTS[k] for k in generator.permutation(len(_PAINTS))[:2])
        fade = generator.uniform(0.5, 1.0)
        panel, mark = (tuple(fade * c for c in paint) for paint in (ground, ink))
        if generator.random() < 0.25:
            cv2.circle(image, (x, y), width // 3, panel, -1, cv2.LINE_AA)
            cv2.circle(image, (x, y), width // 4, mark, 3, cv2.LINE_AA)
            continue
        cv2.rectangle(image, (x, y), (x + width, y + height), panel, -1)
        for line in range(y + 6, y + height - 4, 10):
            end = x + int(width * generator.uniform(0.4, 0.9))
            cv2.line(image, (x + 4, line), (end, line), mark, int(generator.integers(1, 5)))
    return image


_PAINTERS: tuple[Callable[[np.random.Generator], Image], ...] = (
    _sky,
    _foliage,
    _treeline,
    _houses,
    _road,
    _wall,
    _fence,
    _shops,
)


@lru_cache(maxsize=1)
def backdrops() -> tuple[Image, ...]:
    """The pool, uint8 RGB [256, 256, 3] each; always the same pictures."""
    generators = np.random.default_rng(104).spawn(_COPIES * len(_PAINTERS))
    return tuple(_PAINTERS[k % len(_PAINTERS)](rng) for k, rng in enumerate(generators))
