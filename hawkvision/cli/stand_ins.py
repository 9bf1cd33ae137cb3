"""Images to measure with: photos of one's own, or noise that decodes as photos of a size do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.errors import DatasetError

IMAGES = 16
_MOST_PHOTOS = 64
_QUALITY = 90
_TRIED = 128
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

    Noise whose spectrum falls with the frequency as that of photos does (Field, 1987), as large as
    it has to be for so many bytes. It says what decoding costs, and no network knows what it shows.
    """
    rng = np.random.default_rng(seed)
    places = (np.arange(IMAGES) + 0.5) / IMAGES
    return [_of(float(size), rng) for size in np.quantile(scores.image_bytes, places)]


def _of(size: float, rng: np.random.Generator) -> bytes:
    """Headers take what they take; the rest grows with the area, nearly."""
    head, side = len(_encoded(_noise(_SIDES[0], rng))), float(_TRIED)
    for _ in range(_TRIES):
        made = _encoded(_noise(round(side), rng))
        side *= (max(1.0, size - head) / max(1.0, len(made) - head)) ** 0.5
        side = min(max(side, _SIDES[0]), _SIDES[1])
    return _encoded(_noise(round(side), rng))


def _noise(side: int, rng: np.random.Generator) -> Pixels:
    """RGB [side, side, 3], grey for the most part."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1.0
    noise = rng.normal(size=(4, *frequency.shape)) + 1j * rng.normal(size=(4, *frequency.shape))
    planes = np.fft.irfft2((noise[:1] + 0.3 * noise[1:]) / frequency, s=(side, side))
    planes = 128 + 50 * planes / planes.std()
    return np.ascontiguousarray(np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _encoded(pixels: Pixels) -> bytes:
    return bytes(simplejpeg.encode_jpeg(pixels, quality=_QUALITY, colorspace="RGB"))
