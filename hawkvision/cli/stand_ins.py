"""Images to measure with: photos of one's own, or noise that decodes as photos of a size do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.errors import DatasetError

IMAGES = 16
_MOST_PHOTOS = 64
_BITS = 2.0
"""Of a pixel in a photo's JPEG, about; decoding takes its time by pixels as well as by bytes."""

_QUALITIES = (5, 95)
_TRIES = 3
_SIDES = (8, 4096)
_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")

Pixels = npt.NDArray[np.uint8]


def photos_in(folder: Path) -> list[bytes]:
    """The first 64 images of a folder and those below it. Raises DatasetError for none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PHOTOS)
    if not paths:
        raise DatasetError(
            f"no images in {folder}", hint=f"Files that end in {', '.join(_PHOTOS)} are read."
        )
    return [path.read_bytes() for path in paths[:_MOST_PHOTOS]]


def stand_ins(scores: CalibrationScores, seed: int = 1) -> list[bytes]:
    """As many bytes each as the calibration images have, in JPEG.

    Noise whose spectrum falls with the frequency as that of photos does (Field, 1987), with as many
    pixels as a photo of so many bytes has. It says what decoding costs, and no network knows what
    it shows.
    """
    rng = np.random.default_rng(seed)
    places = (np.arange(IMAGES) + 0.5) / IMAGES
    return [_of(float(size), rng) for size in np.quantile(scores.image_bytes, places)]


def _of(size: float, rng: np.random.Generator) -> bytes:
    """Headers take what they take; the rest grows with the area, nearly."""
    low, high = _QUALITIES
    head = len(_encoded(_noise(_SIDES[0], rng), low))
    side = _within(math.sqrt(8 * max(1.0, size - head) / _BITS))
    pixels = _noise(round(side), rng)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if len(_encoded(pixels, middle)) < size else (low, middle)
    for _ in range(_TRIES):
        made = _encoded(pixels, low)
        side = _within(side * (max(1.0, size - head) / max(1.0, len(made) - head)) ** 0.5)
        pixels = _noise(round(side), rng)
    return _encoded(pixels, low)


def _within(side: float) -> float:
    return min(max(side, _SIDES[0]), _SIDES[1])


def _noise(side: int, rng: np.random.Generator) -> Pixels:
    """RGB [side, side, 3], grey for the most part."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1.0
    noise = rng.normal(size=(4, *frequency.shape)) + 1j * rng.normal(size=(4, *frequency.shape))
    planes = np.fft.irfft2((noise[:1] + 0.3 * noise[1:]) / frequency, s=(side, side))
    planes = 128 + 50 * planes / planes.std()
    return np.ascontiguousarray(np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _encoded(pixels: Pixels, quality: int) -> bytes:
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB"))
