"""Open a labelled set, whatever it is kept in."""

from __future__ import annotations

from pathlib import Path

from hawkvision.datasets.files import open_files
from hawkvision.datasets.parquet import find_files, open_parquet, other_files
from hawkvision.datasets.types import LabelledSet
from hawkvision.errors import DatasetError


def open_labelled(source: Path, split: str | None = None) -> LabelledSet:
    """Index a folder or tar of class folders, or parquet as Hugging Face data sets keep it.

    `split` names the folder above the class folders (of parquet: the split in the file names), or
    several, `a,b`; without it any depth is taken, the class being an image's parent folder. Raises
    DatasetError where nothing fits, or where several splits do and none is named.
    """
    if not source.exists():
        raise DatasetError(
            f"{source} does not exist",
            hint="Give a folder or .tar[.gz] of class folders, or .parquet files.",
        )
    files = find_files(source, split)
    return (
        open_parquet(source, files, other_files(source, files))
        if files
        else open_files(source, split)
    )
