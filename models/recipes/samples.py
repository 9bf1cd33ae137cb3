"""Where a recipe's training images come from; kept as JPEG bytes, decoded at every use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import simplejpeg

from hawkvision.datasets import open_labelled

ROADSIGNS_TRAIN_SEED = 1
ROADSIGNS_TRAIN_IMAGES = 60_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One training image (JPEG bytes) and its class."""

    jpeg: bytes
    class_id: int

    def decode(self) -> npt.NDArray[np.uint8]:
        """The image, uint8 RGB [H,W,3]."""
        return np.asarray(simplejpeg.decode_jpeg(self.jpeg, "RGB"), np.uint8)


def training_samples(task: str, data: Path | None) -> tuple[list[str], list[Sample]]:
    """The class names, in the order of the network's outputs, and the training images."""
    if task == "roadsigns":
        from hawkvision import roadsigns

        drawn = roadsigns.stream(ROADSIGNS_TRAIN_IMAGES, seed=ROADSIGNS_TRAIN_SEED)
        return list(roadsigns.CLASSES), [Sample(s.jpeg, s.class_id) for s in drawn]
    if data is None:
        raise click.UsageError(f"task {task} needs --data")
    train = open_labelled(data, "train")
    index = {label: i for i, label in enumerate(train.labels)}
    return list(train.labels), [Sample(image.data, index[image.label]) for image in train]
