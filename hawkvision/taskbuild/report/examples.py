"""The errors that were made with the most confidence, as small pictures inside the page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from hawkvision.calibration import CalibrationScores
from hawkvision.datasets import LabelledSet
from hawkvision.errors import InvalidRequest
from hawkvision.images import decode

SHOWN = 12
_SIDE = 120
_QUALITY = 75


@dataclass(frozen=True, slots=True)
class Example:
    """An image that the edge answered by itself, and wrongly. `picture` is a `data:` URL."""

    name: str
    label: str
    answer: str
    confidence: float
    picture: str


def worst(scores: CalibrationScores, threshold: float, count: int = SHOWN) -> list[int]:
    """Places of the answers at the edge that were wrong, the most confident first."""
    kept = (scores.confidence >= threshold) & (scores.edge_loss[0] > 0)
    found = np.flatnonzero(kept)
    order = np.argsort(-scores.confidence[found], kind="stable")
    return [int(place) for place in found[order][:count]]


def examples(
    scores: CalibrationScores, labels: Sequence[str], images: LabelledSet, threshold: float
) -> list[Example]:
    """The worst ones among the certifying `images`, which are read again for it.

    Scores are in the order of the images' SHA-256. Empty for kinds without numbered items, and
    where the images are not those of the scores any more.
    """
    places = worst(scores, threshold)
    if not places or scores.items is None:
        return []
    names = _by_digest(images)
    if len(names) != len(scores):
        names = _by_digest(images, readable=True)
    if len(names) != len(scores):
        return []
    ranked = [names[digest] for digest in sorted(names)]
    wanted = {ranked[place][0]: place for place in places}
    found: dict[int, Example] = {}
    for image in images.part([ranked[place] for place in places]):
        place = wanted[image.name]
        found[place] = Example(
            image.name,
            labels[scores.items.label[place]],
            labels[scores.items.rung_class[0, 0, place]],
            float(scores.confidence[place]),
            thumbnail(image.data),
        )
    return [found[place] for place in places if place in found]


def _by_digest(images: LabelledSet, *, readable: bool = False) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for image in images:
        if readable:
            try:
                decode(image.data, min_side=32)
            except InvalidRequest:
                continue
        digest = hashlib.sha256(image.data).hexdigest()
        found.setdefault(digest, (image.name, image.label))
    return found


def thumbnail(data: bytes) -> str:
    """A small JPEG of an encoded image, as a `data:` URL. Raises the image errors."""
    pixels = decode(data, min_side=_SIDE)
    scale = _SIDE / max(pixels.shape[:2])
    size = [max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0])]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
