"""From a decoded image of any size to the size that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

cv2.setNumThreads(1)
(cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel)(0)
"""Silent: what is broken in an image is said by us, to who sent it. OpenCV 4 and 5."""

Fit = Literal["cover", "stretch"]


@dataclass(frozen=True, slots=True)
class InputGeometry:
    """A network's input: width and height in px, and how an image is made to fit.

    `cover` takes the largest centred part of the right aspect; `stretch` takes all of the image.
    """

    width: int
    height: int
    fit: Fit = "cover"


def crop_of(width: int, height: int, geometry: InputGeometry) -> tuple[int, int, int, int]:
    """(left, top, width, height) in px of the part of an image that the network sees."""
    if geometry.fit != "cover" or width * geometry.height == height * geometry.width:
        return 0, 0, width, height
    crop_width = min(width, max(1, round(height * geometry.width / geometry.height)))
    crop_height = min(height, max(1, round(width * geometry.height / geometry.width)))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def fit(image: npt.NDArray[np.uint8], geometry: InputGeometry) -> npt.NDArray[np.uint8]:
    """Crop and resize uint8 RGB [H,W,3] to uint8 [geometry.height, geometry.width, 3].

    Area averaging where the image shrinks to half or less, else bilinear (OpenCV).
    """
    left, top, width, height = crop_of(image.shape[1], image.shape[0], geometry)
    if image.shape[:2] != (height, width):
        image = image[top : top + height, left : left + width]
    if (width, height) == (geometry.width, geometry.height):
        return np.ascontiguousarray(image)
    shrinks = width >= 2 * geometry.width and height >= 2 * geometry.height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    size = (geometry.width, geometry.height)
    return cv2.resize(image, size, interpolation=interpolation)  # type: ignore[return-value]
