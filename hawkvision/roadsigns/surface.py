"""The state of the sign itself: bleached paint and mud."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from hawkvision.roadsigns.arrays import Image
from hawkvision.roadsigns.pose import Pose
from hawkvision.roadsigns.textures import crop, stain_fields

_MUD = ((92, 78, 60), (60, 55, 48), (120, 108, 88), (70, 80, 50))


def fade(sprite: Image, rolls: list[float], *, strength: float) -> Image:
    """Bleach the paint of a premultiplied RGBA sprite towards a pale, slightly warm grey."""
    amount = min(0.62 * strength, 0.8)
    if amount < 0.02:
        return sprite
    luma = np.array((0.35, 0.45, 0.2))
    pale = np.array((205.0, 200.0 - 14 * rolls[0], 190.0 - 40 * rolls[1])) / 255.0
    mix = np.zeros((4, 4))
    mix[:3, :3] = np.eye(3) * (1 - amount) + luma * amount * 0.45
    mix[:3, 3] = pale * amount * 0.55
    mix[3, 3] = 1.0
    return cast(Image, cv2.transform(sprite, mix))


def soil(sprite: Image, rolls: list[float], *, strength: float, pose: Pose) -> Image:
    """Put stains on a premultiplied RGBA sprite; they grow denser with the strength."""
    if strength < 0.05:
        return sprite
    fields = stain_fields()
    field = fields[int(rolls[0] * len(fields))]
    zoom = min(1.0, sprite.shape[0] / (pose.radius * 5.0))
    stains = crop(field, sprite.shape[0], zoom, rolls[1], rolls[2])
    level = np.float32(0.82 - 0.32 * min(strength, 1.5))
    cover = np.clip((stains - level) * np.float32(7.0), 0.0, 0.62)[..., None]
    mud = np.array(_MUD[int(rolls[3] * len(_MUD))], np.float32) / np.float32(255.0)
    alpha = sprite[..., 3:]
    paint = sprite[..., :3] * (1 - cover) + alpha * cover * mud
    return np.concatenate([paint.astype(np.uint8), alpha], axis=2)
