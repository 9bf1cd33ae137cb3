"""What stands around the sign: a crop of a backdrop, its post and other roadside furniture."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from hawkvision.roadsigns.arrays import Field, Image
from hawkvision.roadsigns.backdrops import backdrops
from hawkvision.roadsigns.classes import CLASSES
from hawkvision.roadsigns.faces import face_pyramid
from hawkvision.roadsigns.pose import Pose, warp

_POST_PAINTS = ((150, 153, 156), (118, 121, 124), (96, 78, 60), (70, 74, 78), (190, 192, 194))
_SHIFT = 4


def backdrop(rolls: list[float], *, clutter: float, size: int) -> Image:
    """A random window of the pool, uint8 RGB [size, size, 3]; low clutter leaves only blur."""
    pool = backdrops()
    picture = pool[int(rolls[0] * len(pool))]
    side = int(picture.shape[0] * (0.22 + 0.7 * rolls[1]))
    room = picture.shape[0] - side + 1
    top, left = int(rolls[2] * room), int(rolls[3] * room)
    window = picture[top : top + side, left : left + side]
    if rolls[4] < 0.5:
        window = window[:, ::-1]
    sharp = cast(Image, cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA))
    if rolls[5] < 0.35:
        sharp = cast(Image, cv2.GaussianBlur(sharp, (0, 0), size * (0.004 + 0.06 * rolls[5])))
    if clutter >= 1.0:
        return sharp
    tiny = cv2.resize(sharp, (3, 3), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(tiny, (size, size), interpolation=cv2.INTER_LINEAR)
    return cast(Image, cv2.addWeighted(sharp, clutter, smooth, 1.0 - clutter, 0.0))


def draw_post(image: Image, rolls: list[float], pose: Pose) -> None:
    """Draw the post below the sign, and on some samples a supplementary plate, in place."""
    size = image.shape[0]
    paint = np.array(_POST_PAINTS[int(rolls[0] * len(_POST_PAINTS))], np.float64)
    half = pose.radius * (0.05 + 0.06 * rolls[1])
    lean = -np.tan(pose.roll) * (size - pose.y)
    foot = pose.x + lean
    for share, shade in ((1.0, 0.62), (0.6, 0.9), (0.25, 1.12)):
        width = half * share
        corners = [
            (pose.x - half, pose.y),
            (pose.x - half + 2 * width, pose.y),
            (foot - half + 2 * width, size + 2.0),
            (foot - half, size + 2.0),
        ]
        _fill(image, corners, np.clip(paint * shade, 0, 255))
    if rolls[2] < 0.15:
        _draw_plate(image, rolls, pose)


def _draw_plate(image: Image, rolls: list[float], pose: Pose) -> None:
    wide, tall = pose.radius * (0.6 + 0.3 * rolls[3]), pose.radius * (0.28 + 0.2 * rolls[4])
    x, y = pose.x, pose.y + pose.radius * 1.06 + tall
    for grow, color in ((1.0, 40.0), (0.93, 225.0)):
        w, h = wide * grow, tall - wide * (1 - grow)
        _fill(image, [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)], [color] * 3)
    for k in range(1 + int(rolls[5] * 2)):
        w, h = wide * (0.3 + 0.4 * rolls[6 + k]), tall * 0.14
        row = y - tall * 0.3 + k * tall * 0.6
        _fill(
            image,
            [(x - w, row - h), (x + w, row - h), (x + w, row + h), (x - w, row + h)],
            [45.0] * 3,
        )


def draw_neighbour(image: Image, rolls: list[float], *, clutter: float, pose: Pose) -> None:
    """Draw another sign or a blank plate that looks in at the edge of the crop, in place."""
    if rolls[0] >= 0.3 * clutter:
        return
    size = image.shape[0]
    radius = size * (0.12 + 0.25 * rolls[1])
    away = size / 2 + radius * (0.35 + 0.5 * rolls[2])
    along = (rolls[3] - 0.5) * size
    side = 1.0 if pose.x < size / 2 else -1.0
    if rolls[4] < 0.35:
        x, y = size / 2 + along, size / 2 + (1.0 if pose.y < size / 2 else -1.0) * away
    else:
        x, y = size / 2 + side * away, size / 2 + along
    other = Pose(x, y, radius, (rolls[5] - 0.5), 0.0, 0.3 * (rolls[6] - 0.5))
    class_id = int(rolls[7] * len(CLASSES))
    placed = warp(face_pyramid(class_id, int(rolls[8] * 2)), other, size)
    cover = placed[..., 3:].astype(np.float32) * np.float32(1 / 255)
    dim = np.float32(0.55 + 0.45 * rolls[9])
    image[:] = (image * (1 - cover) + placed[..., :3] * dim).astype(np.uint8)


def _fill(image: Image, corners: list[tuple[float, float]], color: object) -> None:
    points = np.rint(np.asarray(corners) * (1 << _SHIFT)).astype(np.int32)
    paint = tuple(float(c) for c in np.asarray(color, np.float64))
    cv2.fillConvexPoly(image, points, paint, cv2.LINE_AA, _SHIFT)


def paste(image: Image | Field, sprite: Image) -> Field:
    """`image` with a premultiplied RGBA sprite over it, float32 RGB in [0, 255]."""
    cover = sprite[..., 3:].astype(np.float32) * np.float32(-1 / 255) + np.float32(1.0)
    return cast(Field, image * cover + sprite[..., :3])
