"""Encoded image bytes in, network input out; limits are checked before pixels are decoded."""

from hawkvision.images.decode import DEFAULT_LIMITS, ImageLimits, decode
from hawkvision.images.geometry import InputGeometry, fit

__all__ = [
    "DEFAULT_LIMITS",
    "ImageLimits",
    "InputGeometry",
    "decode",
    "fit",
]
