"""What packet loss does to an image: bands of rows that did not arrive, filled from neighbours."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

BAND_ROWS = 16
"""Rows of one restart interval of a 4:2:0 JPEG that holds a full row of its blocks."""


class Damage(Protocol):
    """Returns a copy of an image (uint8 [H,W,3]) of which `lost` (0…1) did not arrive."""

    def __call__(self, image: Image, lost: float, rng: np.random.Generator) -> Image:
        """Damage the image, the places drawn from `rng`."""
        ...


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
