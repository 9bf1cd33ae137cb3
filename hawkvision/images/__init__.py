"""Encoded image bytes in, network input out; limits are checked before pixels are decoded."""

from hawkvision.images.decode import Weigh, decode, place, prepare
from hawkvision.images.geometry import InputGeometry, fit
from hawkvision.images.limits import DEFAULT_LIMITS, ImageLimits
from hawkvision.images.placement import Placement

__all__ = [
    "DEFAULT_LIMITS",
    "ImageLimits",
    "InputGeometry",
    "Placement",
    "Weigh",
    "decode",
    "fit",
    "place",
    "prepare",
]
