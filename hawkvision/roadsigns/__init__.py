"""The built-in task `roadsigns`: rendered roadside-camera crops of 36 traffic signs."""

from hawkvision.roadsigns.classes import CLASSES
from hawkvision.roadsigns.difficulty import STANDARD, Difficulty
from hawkvision.roadsigns.render import Sample, draw_label, render, sample, stream

__all__ = [
    "CLASSES",
    "STANDARD",
    "Difficulty",
    "Sample",
    "draw_label",
    "render",
    "sample",
    "stream",
]
