"""Run models over labelled images as they will be served."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar
from zlib import crc32

import numpy as np
import numpy.typing as npt

from hawkvision.datasets import LabelledImage
from hawkvision.engines import Engine, ModelSpec, open_engine
from hawkvision.errors import CalibrationError, InvalidRequest
from hawkvision.images import ImageLimits, InputGeometry, decode, fit
from hawkvision.tasks.classification import softmax

Logits = npt.NDArray[np.float32]
Out = TypeVar("Out")
_CHUNK = 64
_LIMITS = ImageLimits(max_bytes=64 * 1024 * 1024, max_pixels=200_000_000)


class Damage(Protocol):
    """Returns a copy of an image (uint8 [H,W,3]) of which `lost` (0…1) did not arrive."""

    def __call__(
        self, image: npt.NDArray[np.uint8], lost: float, rng: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        """Damage the image, the places drawn from `rng`."""
        ...


class LoadedModel:
    """One model, ready to answer encoded images. Usable from several threads."""

    def __init__(self, name: str, spec: ModelSpec, geometry: InputGeometry) -> None:
        self.name = name
        self.geometry = geometry
        self.min_side = max(geometry.width, geometry.height)
        self._engine: Engine = open_engine(spec, threads=1)

    def logits(self, image: npt.NDArray[np.uint8], where: str) -> Logits:
        """Logits [K] of a decoded image. Raises CalibrationError for NaN, EngineError."""
        x = fit(image, self.geometry)[None].transpose(0, 3, 1, 2)
        answer: Logits = self._engine.infer(x)[0]
        if not np.isfinite(answer).all():
            raise CalibrationError(
                f"{self.name} answers NaN or infinity, first for {where}",
                hint="Check normalize=, and the model's precision (float16 overflows).",
            )
        return answer

    def close(self) -> None:
        """Free the model."""
        self._engine.close()


@dataclass(frozen=True, slots=True)
class Seen:
    """What all rungs say of one image: class and confidence [L,R], raw confidence [R]."""

    class_id: int
    predicted: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    raw_confidence: npt.NDArray[np.float32]
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


def answer_intact(models: Sequence[LoadedModel], image: LabelledImage) -> list[Logits]:
    """Logits [K] of every model for an undamaged image, decoded for each as it is served."""
    return [
        model.logits(decode(image.data, _LIMITS, min_side=model.min_side), image.name)
        for model in models
    ]


def answer_levels(
    models: Sequence[LoadedModel],
    temperatures: Sequence[float],
    levels: Sequence[float],
    damage: Damage,
    image: LabelledImage,
    class_id: int,
) -> Seen:
    """What every model says of an image at every loss level; all see the same damage."""
    logits = np.empty((len(levels), len(models)), object)
    for rung, answer in enumerate(answer_intact(models, image)):
        logits[0, rung] = answer
    if len(levels) > 1:
        pixels = decode(image.data, _LIMITS, min_side=max(model.min_side for model in models))
        for level, lost in enumerate(levels[1:], 1):
            rng = np.random.default_rng([crc32(image.name.encode()), level])
            broken = damage(pixels, lost, rng)
            for rung, model in enumerate(models):
                logits[level, rung] = model.logits(broken, image.name)
    shape = logits.shape
    scaled = [
        softmax(logits[level, rung], temperatures[rung]).max()
        for level in range(shape[0])
        for rung in range(shape[1])
    ]
    return Seen(
        class_id=class_id,
        predicted=np.array([z.argmax() for z in logits.ravel()], np.int32).reshape(shape),
        confidence=np.array(scaled, np.float32).reshape(shape),
        raw_confidence=np.array([softmax(z, 1.0).max() for z in logits[0]], np.float32),
        size=len(image.data),
    )
