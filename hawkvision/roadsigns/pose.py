"""Where the sign is and how it is turned: the homography from the face to the crop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from hawkvision.roadsigns.arrays import Image
from hawkvision.roadsigns.mipmap import pick_level

_CLOSE_RADIUS = 0.42
_VIEW_DISTANCE = 5.0


@dataclass(frozen=True)
class Pose:
    """Placement of a sign: centre and radius in pixels, turns in radians."""

    x: float
    y: float
    radius: float
    yaw: float
    pitch: float
    roll: float

    def matrix(self) -> npt.NDArray[np.float64]:
        """Homography from the unit face square [-1, 1]^2 to pixels, [3, 3]."""
        cy, sy = math.cos(self.yaw), math.sin(self.yaw)
        cp, sp = math.cos(self.pitch), math.sin(self.pitch)
        cr, sr = math.cos(self.roll), math.sin(self.roll)
        turn = np.array(
            [
                [cr * cy, cr * sy * sp - sr * cp, 0.0],
                [sr * cy, sr * sy * sp + cr * cp, 0.0],
                [-sy, cy * sp, _VIEW_DISTANCE],
            ]
        )
        focal = self.radius * _VIEW_DISTANCE
        lens = np.array([[focal, 0.0, self.x], [0.0, focal, self.y], [0.0, 0.0, 1.0]])
        return cast(npt.NDArray[np.float64], lens @ turn)


def draw_pose(rolls: list[float], *, perspective: float, distance: float, size: int) -> Pose:
    """The pose of one sample in a crop of `size` pixels, from the strengths of its effects."""
    radius = size * _CLOSE_RADIUS * math.exp(-1.32 * distance)
    tilt = min(perspective, 1.6)
    room = min(perspective, 1.0) * max(size / 2 - radius * 0.98, 0.0)

    def signed(k: int) -> float:
        return 2.0 * rolls[k] - 1.0

    return Pose(
        x=size / 2 + signed(0) * room,
        y=size / 2 + signed(1) * room,
        radius=radius,
        yaw=signed(2) * tilt * math.radians(52),
        pitch=signed(3) * tilt * math.radians(26),
        roll=signed(4) * tilt * math.radians(16),
    )


def warp(pyramid: tuple[Image, ...], pose: Pose, size: int, *, endless: bool = False) -> Image:
    """A premultiplied RGBA sprite placed in a crop, uint8 [size, size, 4].

    An `endless` sprite goes on past its borders instead of ending there.
    """
    level = pick_level(pyramid, 2.0 * pose.radius)
    side = level.shape[0]
    scale = 2.0 / side
    offset = scale / 2 - 1.0
    to_unit = np.array([[scale, 0.0, offset], [0.0, scale, offset], [0.0, 0.0, 1.0]])
    placed = cv2.warpPerspective(
        level,
        pose.matrix() @ to_unit,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if endless else cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0, 0),
    )
    return cast(Image, placed)
