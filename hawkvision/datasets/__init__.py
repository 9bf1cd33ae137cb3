"""Labelled images: folders and tars, and the procedural `roadsigns` traffic."""

from hawkvision.datasets.labelled import LabelledImage, LabelledSet, in_memory, open_labelled

__all__ = ["LabelledImage", "LabelledSet", "in_memory", "open_labelled"]
