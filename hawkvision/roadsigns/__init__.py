"""The built-in task `roadsigns`: rendered roadside-camera crops of 36 traffic signs."""

from hawkvision.datasets.roadsigns.classes import CLASSES
from hawkvision.datasets.roadsigns.difficulty import STANDARD, Difficulty
from hawkvision.datasets.roadsigns.render import Sample, draw_label, render, sample, stream

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
