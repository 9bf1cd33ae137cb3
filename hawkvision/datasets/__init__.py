"""Labelled images in folders, tars and parquet, and the one order that splits are cut from."""

from hawkvision.datasets.labelled import open_labelled
from hawkvision.datasets.types import LabelledImage, LabelledSet, in_memory

__all__ = ["LabelledImage", "LabelledSet", "in_memory", "open_labelled"]
