"""Training-time views of one decoded image: crops, flips, and the damage of cameras and links."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

Image = npt.NDArray[np.uint8]

BAND_ROWS = 16
"""Rows of one restart interval of a 4:2:0 JPEG that holds a full row of its blocks."""


@dataclass(frozen=True)
class Augmentation:
    """Strengths; a probability of 0 turns an effect off.

    `min_area` is the smallest share of the image that a crop keeps; `damage` the probability
    of one corruption (JPEG quality, blur, noise, low light, missing row bands).
    """

    min_area: float = 0.35
    max_aspect: float = 4 / 3
    flip: bool = True
    colour: float = 0.2
    damage: float = 0.2


def intact_view(image: Image, size: int, spec: Augmentation, rng: np.random.Generator) -> Image:
    """A random crop, perhaps flipped and in other colours."""
    view = _random_crop(image, size, spec, rng)
    if spec.flip and rng.random() < 0.5:
        view = view[:, ::-1]
    if spec.colour > 0 and rng.random() < 0.8:
        view = _jitter_colour(view, spec.colour, rng)
    return view


def maybe_damaged(view: Image, spec: Augmentation, rng: np.random.Generator) -> Image:
    """The view with one kind of damage, at the probability that `spec` gives."""
    return _damage(view, rng) if rng.random() < spec.damage else view


def _random_crop(image: Image, size: int, spec: Augmentation, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    for _ in range(8):
        area = rng.uniform(spec.min_area, 1.0) * height * width
        aspect = np.exp(rng.uniform(-np.log(spec.max_aspect), np.log(spec.max_aspect)))
        w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if w <= width and h <= height:
            x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
            image = image[y : y + h, x : x + w]
            break
    shrink = min(image.shape[:2]) / size
    return resize(image, size, cv2.INTER_AREA if shrink >= 2 else cv2.INTER_LINEAR)


def resize(image: Image, size: int, interpolation: int) -> Image:
    """Resize to a square; wraps OpenCV for its types."""
    out = cv2.resize(np.ascontiguousarray(image), (size, size), interpolation=interpolation)
    return np.asarray(out, np.uint8)


def _jitter_colour(image: Image, strength: float, rng: np.random.Generator) -> Image:
    gain = 1 + rng.uniform(-strength, strength, 3) * 0.5 + rng.uniform(-strength, strength)
    offset = rng.uniform(-strength, strength) * 64
    table = np.arange(256)[:, None] * gain + offset + (1 - gain.mean()) * 100 * rng.random()
    lut = np.clip(table, 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), lut), np.uint8)


def _damage(image: Image, rng: np.random.Generator) -> Image:
    image = np.ascontiguousarray(image)
    kind = rng.integers(0, 5)
    if kind == 0:
        coded = simplejpeg.encode_jpeg(image, quality=int(rng.integers(8, 60)), colorspace="RGB")
        return np.asarray(simplejpeg.decode_jpeg(coded, "RGB"), np.uint8)
    if kind == 1:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.0)), np.uint8)
    if kind == 2:
        noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(5, 40)
        return np.clip(image + noise, 0, 255).astype(np.uint8)
    if kind == 3:
        noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(1, 6)
        return np.clip(image * rng.uniform(0.15, 0.6) + noise, 0, 255).astype(np.uint8)
    return lose_rows(image, rng.uniform(0.05, 0.35), rng)


def lose_rows(image: Image, lost: float, rng: np.random.Generator) -> Image:
    """Lose whole bands of 16 rows, at least one, until a share `lost` is gone; fill the gaps.

    The gaps are interpolated between the nearest rows that arrived; 0 loses nothing, and an image
    with nothing left is grey.
    """
    if lost <= 0:
        return image
    height = len(image)
    bands = -(-height // BAND_ROWS)
    chosen = rng.permutation(bands)[: max(1, round(lost * bands))]
    missing = np.isin(np.arange(height) // BAND_ROWS, chosen)
    return fill_rows(image, missing)


def fill_rows(image: Image, missing: npt.NDArray[np.bool_]) -> Image:
    """Replace the rows where `missing` bool [H] by interpolation between the nearest others."""
    there = np.flatnonzero(~missing)
    if len(there) == 0:
        return np.full_like(image, 128)
    rows = np.flatnonzero(missing)
    after = np.searchsorted(there, rows)
    above = there[np.maximum(after - 1, 0)]
    below = there[np.minimum(after, len(there) - 1)]
    above, below = np.where(after == 0, below, above), np.where(after == len(there), above, below)
    span = np.maximum(below - above, 1)
    weight = (np.clip(rows - above, 0, span) / span).astype(np.float32)[:, None, None]
    out = image.copy()
    out[rows] = (image[above] * (1 - weight) + image[below] * weight + 0.5).astype(np.uint8)
    return out
