"""Run rungs over labelled images as they will be served."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar
from zlib import crc32

import numpy as np
import numpy.typing as npt

from hawkvision.datasets import LabelledImage
from hawkvision.errors import CalibrationError, EngineError, InvalidRequest
from hawkvision.images import ImageLimits, decode
from hawkvision.rungs import LoadedRung, Pixels
from hawkvision.tasks import Itemised, Outputs

Out = TypeVar("Out")
_CHUNK = 64
LIMITS = ImageLimits(
    max_bytes=64 * 1024 * 1024, max_pixels=200_000_000, max_decode_bytes=8 * 1024**3
)


class Damage(Protocol):
    """Returns a copy of an image (uint8 [H,W,3]) of which `lost` (0…1) did not arrive."""

    def __call__(
        self, image: npt.NDArray[np.uint8], lost: float, rng: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        """Damage the image, the places drawn from `rng`."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What all rungs make of one image.

    Loss and confidence float32 [L,R], confidence before it was calibrated [R]; of kinds that have
    numbered items, the items answered int32 [L,R] and the true one (else zeros and 0).
    """

    loss: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    raw_confidence: npt.NDArray[np.float32]
    items: npt.NDArray[np.int32]
    true_item: int
    size: int


def each(
    images: Iterable[LabelledImage],
    work: Callable[[LabelledImage], Out],
    threads: int,
    progress: Callable[[], None],
) -> Iterator[Out]:
    """`work` on every image by a few threads, in order; images that do not decode are left out."""

    def guarded(image: LabelledImage) -> Out | InvalidRequest:
        try:
            return work(image)
        except InvalidRequest as error:
            return error

    source = iter(images)
    with ThreadPoolExecutor(threads) as pool:
        while chunk := list(islice(source, _CHUNK)):
            for result in pool.map(guarded, chunk):
                progress()
                if not isinstance(result, InvalidRequest):
                    yield result


def outputs_of(rung: LoadedRung, images: Sequence[LabelledImage], threads: int) -> Outputs:
    """A rung's raw outputs [N, …] for images that decode. Raises CalibrationError for NaN."""

    def work(image: LabelledImage) -> Outputs:
        found = rung.outputs([rung.prepare(image.data, LIMITS)])
        if not all(np.isfinite(tensor).all() for tensor in found.values()):
            raise _not_finite(rung.name, image.name)
        return found

    rows = list(each(images, work, threads, lambda: None))
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def answer_levels(
    rungs: Sequence[LoadedRung],
    levels: Sequence[float],
    damage: Damage,
    image: LabelledImage,
    truth: Any,
) -> Seen:
    """What every rung says of an image at every loss level; all see the same damage."""
    kind = rungs[0].kind
    shape = (len(levels), len(rungs))
    loss, confidence = np.empty(shape, np.float32), np.empty(shape, np.float32)
    raw, items = np.empty(len(rungs), np.float32), np.zeros(shape, np.int32)
    pixels: Pixels | None = None
    for level, lost in enumerate(levels):
        if level:
            if pixels is None:
                pixels = decode(image.data, LIMITS, min_side=max(rung.min_side for rung in rungs))
            rng = np.random.default_rng([crc32(image.name.encode()), level])
            broken = damage(pixels, lost, rng)
        for place, rung in enumerate(rungs):
            prepared = rung.fit(broken) if level else rung.prepare(image.data, LIMITS)
            outputs = rung.outputs([prepared])
            prediction = _read(rung, outputs, rung.head, image.name)
            loss[level, place] = kind.loss(prediction, truth)
            confidence[level, place] = prediction.confidence
            if isinstance(kind, Itemised):
                items[level, place] = kind.item(prediction)
            if level == 0:
                head = kind.uncalibrated(rung.head)
                raw[place] = _read(rung, outputs, head, image.name).confidence
    return Seen(
        loss=loss,
        confidence=confidence,
        raw_confidence=raw,
        items=items,
        true_item=kind.item_of(truth) if isinstance(kind, Itemised) else 0,
        size=len(image.data),
    )


def _read(rung: LoadedRung, outputs: Outputs, head: Any, where: str) -> Any:
    try:
        return rung.kind.read(outputs, head, ())[0]
    except EngineError as error:
        raise _not_finite(rung.name, where) from error


def _not_finite(name: str, where: str) -> CalibrationError:
    return CalibrationError(
        f"{name} answers NaN or infinity, first for {where}",
        hint="Check normalize=, and the model's precision (float16 overflows).",
    )
