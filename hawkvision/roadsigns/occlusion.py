"""Things in front of the sign: leafy twigs, bare branches, posts and plate edges."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from hawkvision.roadsigns.arrays import Field, Image
from hawkvision.roadsigns.mipmap import build_pyramid
from hawkvision.roadsigns.pose import Pose, warp
from hawkvision.roadsigns.scene import paste

_SIDE = 256
_FRONT = _SIDE // 2
_COPIES = 8


def _paint(generator: np.random.Generator, low: float, high: float) -> tuple[float, ...]:
    base = generator.uniform((0.55, 0.9, 0.25), (1.0, 1.05, 0.55)) * generator.uniform(low, high)
    return (*(float(c) for c in np.clip(base, 0, 255)), 255.0)


def _twigs(generator: np.random.Generator) -> Image:
    """Leaves filling the left half, thinning out past the middle."""
    sprite: Image = np.zeros((_SIDE, _SIDE, 4), np.uint8)
    spread = np.abs(generator.normal(0, 55, 420))
    places = zip(_FRONT - 10 - spread, generator.uniform(0, _SIDE, 420), strict=True)
    strays = zip(
        _FRONT + np.abs(generator.normal(0, 10, 10)), generator.uniform(30, 226, 10), strict=True
    )
    for x, y in (*places, *strays):
        axes = (int(generator.integers(6, 14)), int(generator.integers(3, 7)))
        color = _paint(generator, 35, 150)
        angle = float(generator.uniform(0, 180))
        cv2.ellipse(sprite, (int(x), int(y)), axes, angle, 0, 360, color, -1, cv2.LINE_AA)
    return sprite


def _branches(generator: np.random.Generator) -> Image:
    """Thin branches that cross the whole sign, with a few leaves."""
    sprite: Image = np.zeros((_SIDE, _SIDE, 4), np.uint8)
    for _ in range(int(generator.integers(1, 3))):
        y0, y1 = generator.integers(60, 200, 2)
        bark = (*(float(c) for c in generator.uniform((40, 34, 28), (85, 72, 60))), 255.0)
        width = int(generator.integers(2, 4))
        cv2.line(sprite, (0, int(y0)), (_SIDE, int(y1)), bark, width, cv2.LINE_AA)
        for share in generator.uniform(0.05, 0.4, 6):
            x, y = int(share * _SIDE), int(y0 + (y1 - y0) * share + generator.integers(-9, 9))
            axes = (int(generator.integers(5, 12)), int(generator.integers(3, 6)))
            angle = float(generator.uniform(0, 180))
            color = _paint(generator, 45, 150)
            cv2.ellipse(sprite, (x, y), axes, angle, 0, 360, color, -1, cv2.LINE_AA)
    return sprite


def _edge(generator: np.random.Generator) -> Image:
    """The straight edge of a post, lorry or plate that covers the left part."""
    sprite: Image = np.zeros((_SIDE, _SIDE, 4), np.uint8)
    color = generator.uniform(40, 190) * generator.uniform(0.95, 1.05, 3)
    left = _FRONT - int(generator.choice((18, 40, _FRONT)))
    for x in range(left, _FRONT):
        shade = 0.7 + 0.35 * math.sin((x - left) / (_FRONT - left) * math.pi)
        sprite[:, x, :3] = np.clip(color * shade, 0, 255)
        sprite[:, x, 3] = 255
    return sprite


_MAKERS = (_twigs, _branches, _edge, _twigs)


@lru_cache(maxsize=1)
def _sprites() -> tuple[tuple[Image, ...], ...]:
    generators = np.random.default_rng(105).spawn(_COPIES * 4)
    return tuple(build_pyramid(_MAKERS[k % 4](rng)) for k, rng in enumerate(generators))


def occlude(image: Field, rolls: list[float], *, strength: float, pose: Pose) -> Field:
    """`image` with an obstacle reaching from one side into the sign, float32 in [0, 255].

    At strength 1 it ends about a third of a radius short of the sign's centre.
    """
    if strength < 0.08:
        return image
    sprites = _sprites()
    chosen = int(rolls[0] * len(sprites))
    upright = _MAKERS[chosen % len(_MAKERS)] is _edge
    angle = 2.0 * math.pi * rolls[1]
    if upright:
        angle = math.pi * (rolls[1] < 0.5) + 0.8 * (rolls[2] - 0.5)
    gap = pose.radius * (1.05 - 0.68 * min(strength, 1.3))
    place = Pose(
        x=pose.x - math.cos(angle) * gap,
        y=pose.y - math.sin(angle) * gap,
        radius=pose.radius * 2.0,
        yaw=0.0,
        pitch=0.0,
        roll=angle,
    )
    return paste(image, warp(sprites[chosen], place, image.shape[0], endless=upright))
