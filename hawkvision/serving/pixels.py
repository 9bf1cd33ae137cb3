"""Work for the pool: plain pixels become a PNG, and from there on an image like any other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hawkvision.images import ImageLimits
from hawkvision.images.pixels import png_of
from hawkvision.serving.job import Ticket


class PngOf:
    """Encodes uint8 RGB [H,W,3] within the limits. Raises PayloadTooLarge."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits

    def __call__(self, pixels: npt.NDArray[np.uint8], ticket: Ticket) -> bytes:
        """The PNG's bytes."""
        ticket.weigh(pixels.shape[0] * pixels.shape[1])
        return png_of(pixels, self._limits)
