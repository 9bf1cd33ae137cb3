"""Labelled images in a folder, for many processes to read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from loadtest.traffic import TrafficImage


def write_images(folder: Path, images: Iterable[TrafficImage]) -> None:
    """One file each, and `labels.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = []
    for number, image in enumerate(images):
        (folder / f"{number:05d}").write_bytes(image.data)
        labels.append(image.label)
    (folder / "labels.json").write_text(json.dumps(labels))


def read_images(folder: Path) -> list[TrafficImage]:
    """What `write_images` wrote."""
    labels: list[str] = json.loads((folder / "labels.json").read_text())
    return [
        TrafficImage((folder / f"{number:05d}").read_bytes(), label)
        for number, label in enumerate(labels)
    ]
