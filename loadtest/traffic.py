"""Labelled images for load tests: drawn road signs, or a folder or tar of photos."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hawkvision import roadsigns
from hawkvision.datasets import open_labelled

DRAWN_IMAGES = 300


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """Where images come from; `data` None draws `images` road signs with `seed`."""

    data: Path | None = None
    split: str | None = None
    images: int = DRAWN_IMAGES
    seed: int = 11


@dataclass(frozen=True, slots=True)
class TrafficImage:
    """One encoded image and the name of its class."""

    data: bytes
    label: str


def load_traffic(settings: TrafficSettings) -> list[TrafficImage]:
    """The images, held in memory, in a fixed shuffled order. Raises DatasetError."""
    if settings.data is None:
        drawn = roadsigns.stream(settings.images, seed=settings.seed)
        return [TrafficImage(sample.jpeg, sample.label) for sample in drawn]
    found = open_labelled(settings.data, settings.split)
    images = [TrafficImage(image.data, image.label) for image in found]
    random.Random(settings.seed).shuffle(images)
    return images[: settings.images]


def cycle(images: Sequence[TrafficImage], offset: int) -> Iterator[TrafficImage]:
    """The images for ever, from `offset` on."""
    start = offset % len(images)
    return itertools.cycle([*images[start:], *images[:start]])
