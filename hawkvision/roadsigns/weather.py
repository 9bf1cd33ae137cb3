"""Light and weather on float32 RGB crops in [0, 1]: sun, shade, night, fog and rain."""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np

from hawkvision.roadsigns.arrays import Field
from hawkvision.roadsigns.pose import Pose
from hawkvision.roadsigns.textures import crop, grid, rain_fields, stain_fields


def illuminate(image: Field, rolls: list[float], *, strength: float) -> Field:
    """Exposure, colour temperature, a light gradient, shadows and a glare spot."""
    if strength <= 0.0:
        return image
    size = image.shape[0]
    x, y = grid(size)
    angle = 2.0 * math.pi * rolls[0]
    across = np.float32(math.cos(angle)) * x + np.float32(math.sin(angle)) * y
    gain = np.float32(1.0) + across * np.float32(0.3 * strength * rolls[1])
    if rolls[2] < 0.3:
        offset, sharpness = np.float32(1.2 * (rolls[3] - 0.5)), np.float32(2.0 + 16.0 * rolls[4])
        gain *= 1 - np.float32(0.65 * strength) * np.clip((across - offset) * sharpness, 0.0, 1.0)
    elif rolls[2] < 0.5:
        fields = stain_fields()
        shade = crop(fields[int(rolls[3] * len(fields))], size, 0.35, rolls[4], rolls[5])
        gain *= 1 - np.float32(0.6 * strength) * np.clip((shade - 0.5) * 7.0, 0.0, 1.0)
    exposure = math.exp(strength * (1.5 * rolls[6] - 0.95))
    warmth = 0.22 * strength * (2.0 * rolls[7] - 1.0)
    tint = np.array((1 + warmth, 1.0, 1 - warmth), np.float32) * np.float32(exposure)
    lit = image * (gain[..., None] * tint)
    if rolls[8] < 0.12:
        spot = (x - np.float32(2 * rolls[9] - 1)) ** 2 + (y - np.float32(2 * rolls[10] - 1)) ** 2
        lit += (np.float32(0.75 * strength) * np.exp(spot * np.float32(-6.0)))[..., None]
    return lit


def darken(image: Field, cover: Field, rolls: list[float], *, strength: float, pose: Pose) -> Field:
    """Night: a dark scene, a retro-reflecting sign in the headlights, bloom and far lamps.

    `cover` is the sign's own opacity, float32 [size, size] in [0, 1].
    """
    if strength <= 0.0:
        return image
    dark = min(strength, 1.25)
    size = image.shape[0]
    x, y = grid(size)
    half = size / 2
    spot_x = (pose.x + pose.radius * 1.4 * (rolls[1] - 0.5)) / half - 1.0
    spot_y = (pose.y + pose.radius * 1.4 * (rolls[2] - 0.5)) / half - 1.0
    reach = (pose.radius / half) * (0.9 + 1.2 * rolls[3])
    beam = np.exp(
        ((x - np.float32(spot_x)) ** 2 + (y - np.float32(spot_y)) ** 2)
        * np.float32(-0.5 / reach**2)
    )
    ambient = 1.0 - dark * (0.80 + 0.13 * rolls[4])
    ambient = max(ambient, 0.02)
    on_sign = ambient * 1.4 + (0.25 + 0.85 * rolls[5]) * (0.3 + 0.7 * beam) * min(dark, 1.0)
    on_scene = np.float32(ambient) + beam * np.float32(0.12 * rolls[6])
    gain = on_scene + cover * (on_sign - on_scene)
    warm = rolls[7]
    tint = np.array((1.0, 0.96 - 0.16 * warm, 0.95 - 0.4 * warm), np.float32)
    night = image * (gain[..., None].astype(np.float32) * tint)
    if rolls[8] < 0.5:
        _far_lamps(night, rolls, 1.0 - cover)
    bloom = cv2.blur(night, (2 * int(size / 12) + 1, 2 * int(size / 12) + 1))
    return cast(Field, night + bloom * np.float32(0.22 * min(dark, 1.0)))


def _far_lamps(image: Field, rolls: list[float], free: Field) -> None:
    size = image.shape[0]
    lamps = np.zeros((size, size), np.float32)
    for k in range(3):
        place = (int(rolls[9 + k] * size), int(rolls[12 + k] * size))
        cv2.circle(lamps, place, max(1, int(size * (0.012 + 0.03 * rolls[15 - k]))), (0.8,), -1)
    glow = cv2.GaussianBlur(lamps, (0, 0), size * 0.012) * free
    image += glow[..., None] * np.array((1.0, 0.85, 0.55), np.float32)


def add_fog(image: Field, rolls: list[float], *, strength: float, night: float) -> Field:
    """Pull the crop towards the airlight; at strength 1 about 80 % of the contrast is lost."""
    if strength < 0.01:
        return image
    veil = 1.0 - math.exp(-1.6 * strength)
    light = (0.62 + 0.25 * rolls[0]) * (1.0 - 0.85 * min(night, 1.0))
    air = np.array((light, light, light + 0.03 * rolls[1]), np.float32)
    _, y = grid(image.shape[0])
    density = np.float32(veil) * (np.float32(1.0) - np.float32(0.12 * rolls[2]) * (y + 1) / 2)
    return cast(Field, image * (1 - density[..., None]) + air * density[..., None])


def add_rain(image: Field, rolls: list[float], *, strength: float) -> Field:
    """Bright streaks and a slight loss of contrast."""
    if strength < 0.04:
        return image
    fields = rain_fields()
    zoom = 0.3 + 0.5 * rolls[1]
    streaks = crop(fields[int(rolls[0] * len(fields))], image.shape[0], zoom, rolls[2], rolls[3])
    glint = streaks[..., None] * np.float32(0.55 * min(strength, 1.5))
    return cast(Field, image * (1 - np.float32(0.12 * min(strength, 1.5)) - glint * 0.5) + glint)
