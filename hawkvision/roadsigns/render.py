"""The public renderer: one crop by class and seed, or a random-access stream of samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import simplejpeg

from hawkvision.roadsigns import camera, scene, surface, weather
from hawkvision.roadsigns.arrays import Image
from hawkvision.roadsigns.classes import CLASSES, check_class_id
from hawkvision.roadsigns.conditions import Rolls, draw_strengths
from hawkvision.roadsigns.difficulty import STANDARD, Difficulty
from hawkvision.roadsigns.faces import face_pyramid
from hawkvision.roadsigns.occlusion import occlude
from hawkvision.roadsigns.pose import draw_pose, warp

MIN_SIZE, MAX_SIZE = 32, 512
_STYLE_SHARES = (0.55, 0.75, 0.92)


@dataclass(frozen=True)
class Sample:
    """One labelled JPEG; `render(class_id, seed)` gives its pixels before compression."""

    jpeg: bytes
    size: int
    """Image width and height in pixels."""
    class_id: int
    label: str
    seed: int
    conditions: Mapping[str, float]
    """Strength of each effect by knob name, plus `sign_pixels` (the sign's diameter) and
    `jpeg_quality`."""


def render(class_id: int, seed: int, *, difficulty: Difficulty = STANDARD, size: int = 96) -> Image:
    """One crop of a sign, uint8 RGB [size, size, 3], before JPEG compression.

    The same arguments always give the same pixels. Raises ValueError for a class outside
    `CLASSES`, a negative seed or a size outside 32..512.
    """
    return _render(class_id, seed, difficulty, size)[0]


def draw_label(index: int, *, seed: int = 0) -> tuple[int, int]:
    """Class id and render seed of the index-th sample of a stream, without rendering it.

    Raises ValueError for a negative index or seed.
    """
    if index < 0:
        raise ValueError(f"index must be >= 0, got {index}")
    _check_seed(seed)
    words = np.random.SeedSequence([seed, index]).generate_state(2, np.uint64)
    return int(words[0]) % len(CLASSES), int(words[1]) >> 1


def sample(
    index: int, *, seed: int = 0, difficulty: Difficulty = STANDARD, size: int = 96
) -> Sample:
    """The index-th sample of the stream `seed`, in any order; classes are drawn uniformly.

    Raises ValueError for a negative index or seed, or a size outside 32..512.
    """
    class_id, render_seed = draw_label(index, seed=seed)
    image, conditions = _render(class_id, render_seed, difficulty, size)
    jpeg = simplejpeg.encode_jpeg(
        image, quality=int(conditions["jpeg_quality"]), colorspace="RGB", colorsubsampling="420"
    )
    return Sample(jpeg, size, class_id, CLASSES[class_id], render_seed, conditions)


def stream(
    count: int,
    *,
    seed: int = 0,
    start: int = 0,
    difficulty: Difficulty = STANDARD,
    size: int = 96,
) -> Iterator[Sample]:
    """Samples `start` to `start + count - 1` of the stream `seed`.

    Raises ValueError for a negative count, start or seed, or a size outside 32..512.
    """
    if count < 0:
        raise ValueError(f"count must be >= 0, got {count}")
    if start < 0:
        raise ValueError(f"start must be >= 0, got {start}")
    _check_seed(seed)
    _check_size(size)
    indices = range(start, start + count)
    return (sample(index, seed=seed, difficulty=difficulty, size=size) for index in indices)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")


def _check_size(size: int) -> None:
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size must be in {MIN_SIZE}..{MAX_SIZE} pixels, got {size}")


def _style(roll: float) -> int:
    return sum(roll >= share for share in _STYLE_SHARES)


def _render(
    class_id: int, seed: int, difficulty: Difficulty, size: int
) -> tuple[Image, dict[str, float]]:
    check_class_id(class_id)
    _check_seed(seed)
    _check_size(size)
    rolls = Rolls(seed)
    strength = draw_strengths(rolls, difficulty)
    pose = draw_pose(
        rolls.row("perspective"),
        perspective=strength["perspective"],
        distance=strength["distance"],
        size=size,
    )

    ground = scene.backdrop(rolls.row("background"), clutter=strength["background"], size=size)
    clutter = rolls.row("clutter")
    scene.draw_neighbour(ground, clutter, clutter=strength["background"], pose=pose)
    scene.draw_post(ground, rolls.row("pole"), pose)

    sign = warp(face_pyramid(class_id, _style(rolls.row("style")[0])), pose, size)
    sign = surface.fade(sign, rolls.row("fading"), strength=strength["fading"])
    sign = surface.soil(sign, rolls.row("dirt"), strength=strength["dirt"], pose=pose)
    pasted = scene.paste(ground, sign)
    pasted = occlude(pasted, rolls.row("occlusion"), strength=strength["occlusion"], pose=pose)

    image = pasted * np.float32(1 / 255)
    image = weather.illuminate(image, rolls.row("lighting"), strength=strength["lighting"])
    cover = sign[..., 3] * np.float32(1 / 255)
    night = strength["night"]
    image = weather.darken(image, cover, rolls.row("night"), strength=night, pose=pose)
    image = weather.add_fog(image, rolls.row("fog"), strength=strength["fog"], night=night)
    image = weather.add_rain(image, rolls.row("rain"), strength=strength["rain"])

    image = camera.blur_focus(image, strength=strength["defocus"], radius=pose.radius)
    shake = rolls.row("motion_blur")
    image = camera.blur_motion(image, shake, strength=strength["motion_blur"], radius=pose.radius)
    pixels = camera.expose(image, rolls.row("noise"), noise=strength["noise"], night=night)
    strength["sign_pixels"] = 2.0 * pose.radius
    strength["jpeg_quality"] = float(camera.jpeg_quality(strength["compression"]))
    return pixels, strength
