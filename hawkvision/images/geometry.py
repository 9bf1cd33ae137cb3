"""From a decoded image of any size to the size that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

cv2.setNumThreads(1)

Fit = Literal["cover", "stretch"]


@dataclass(frozen=True, slots=True)
class InputGeometry:
    """A network's input: width and height in px, and how an image is made to fit.

    `cover` takes the largest centred part of the right aspect; `stretch` takes all of the image.
    """

    width: int
    height: int
    fit: Fit = "cover"


def fit(image: npt.NDArray[np.uint8], geometry: InputGeometry) -> npt.NDArray[np.uint8]:
    """Crop and resize uint8 RGB [H,W,3] to uint8 [geometry.height, geometry.width, 3].

    Area averaging where the image shrinks to half or less, else bilinear (OpenCV).
    """
    height, width = image.shape[:2]
    if geometry.fit == "cover" and width * geometry.height != height * geometry.width:
        crop_w = min(width, max(1, round(height * geometry.width / geometry.height)))
        crop_h = min(height, max(1, round(width * geometry.height / geometry.width)))
        left, top = (width - crop_w) // 2, (height - crop_h) // 2
        image = image[top : top + crop_h, left : left + crop_w]
        height, width = crop_h, crop_w
    if (width, height) == (geometry.width, geometry.height):
        return np.ascontiguousarray(image)
    shrinks = width >= 2 * geometry.width and height >= 2 * geometry.height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    size = (geometry.width, geometry.height)
    return cv2.resize(image, size, interpolation=interpolation)  # type: ignore[return-value]
