"""Labelled images in folders, tars and parquet, and the one order that splits are cut from."""

from hawkvision.datasets.copies import copies_elsewhere, remark_on
from hawkvision.datasets.labelled import open_labelled
from hawkvision.datasets.types import LabelledImage, LabelledSet, in_memory

__all__ = [
    "LabelledImage",
    "LabelledSet",
    "copies_elsewhere",
    "in_memory",
    "open_labelled",
    "remark_on",
]
