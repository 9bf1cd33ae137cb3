"""Files of Hugging Face that lie with a model: in its folder, or in the one above `onnx/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def beside(model: Path, name: str) -> Iterator[Path]:
    """Files called `name` that belong to a model's file, the nearest first; maybe none."""
    folders = [model.parent]
    if model.parent.name == "onnx":
        folders.append(model.parent.parent)
    for folder in folders:
        if (folder / name).is_file():
            yield folder / name
