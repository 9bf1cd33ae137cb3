"""Pixels into an encoded image without loss, for whatever takes encoded images only."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from hawkvision.images.limits import ImageLimits, check_pixels


def png_of(pixels: npt.NDArray[np.uint8], limits: ImageLimits) -> bytes:
    """uint8 RGB [H,W,3] as a PNG that is fast to write. Raises PayloadTooLarge."""
    height, width = pixels.shape[:2]
    check_pixels(width, height, limits)
    turned = np.ascontiguousarray(pixels[..., ::-1])
    _, encoded = cv2.imencode(".png", turned, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return encoded.tobytes()
