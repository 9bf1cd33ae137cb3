"""Encoded image bytes in, network input out; limits are checked before pixels are decoded."""

from hawkvision.images.damage import Damage, fill_rows, lose_rows
from hawkvision.images.decode import DEFAULT_LIMITS, ImageLimits, decode
from hawkvision.images.geometry import InputGeometry, fit

__all__ = [
    "DEFAULT_LIMITS",
    "Damage",
    "ImageLimits",
    "InputGeometry",
    "decode",
    "fill_rows",
    "fit",
    "lose_rows",
]
