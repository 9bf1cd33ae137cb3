"""Labelled images: folders and tars, and the procedural `roadsigns` traffic."""

from hawkvision.datasets.labelled import LabelledImage, LabelledSet, open_labelled

__all__ = ["LabelledImage", "LabelledSet", "open_labelled"]
