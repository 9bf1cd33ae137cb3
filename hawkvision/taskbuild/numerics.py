"""What a new certificate says of its numerics: reference images, answers, and a tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from hawkvision.engines import EngineMetadata, ModelSpec
from hawkvision.engines.onnx import OnnxEngine
from hawkvision.engines.providers import Device
from hawkvision.errors import EngineError
from hawkvision.repository import Numerics, References
from hawkvision.repository.references import RungReference, deviation, tolerance_of
from hawkvision.rungs import LoadedRung, Pixels
from hawkvision.tasks import Outputs

IMAGES = 8
Image = TypeVar("Image")


def numerics_of(metadata: EngineMetadata, engine: str) -> Numerics:
    """The engine as the certificate names it; where the references lie is known later."""
    return Numerics(engine, metadata.device, metadata.platform, metadata.version, Path())


def make_references(
    rungs: Sequence[LoadedRung], specs: Sequence[ModelSpec], images: Sequence[Sequence[Pixels]]
) -> References:
    """Each rung's answers to `images`, prepared for that rung, and how firm they are.

    Firm is measured with ONNX Runtime: the same file without graph optimisations rounds in other
    places, as another processor may. Other engines get the least tolerance.
    """
    found = {}
    for rung, spec, pixels in zip(rungs, specs, images, strict=True):
        # One at a time, as they are served.
        answers = _encoded(rung, pixels)
        spread = 0.0
        if isinstance(rung.engine, OnnxEngine):
            plain = _unoptimised(rung, spec, rung.engine.given)
            if plain is not None:
                spread = deviation(answers, _encoded(plain, pixels))
                plain.close()
        found[rung.name] = RungReference(np.stack(pixels), answers, tolerance_of(spread))
    return References(found)


def spread_over(images: Sequence[Image], count: int = IMAGES) -> list[Image]:
    """`count` of the images, evenly spread, so that those sorted by class are mixed."""
    step = max(1, len(images) // count)
    return list(images[::step][:count])


def _encoded(rung: LoadedRung, pixels: Sequence[Pixels]) -> Outputs:
    return rung.kind.encode([rung.predict([one])[0] for one in pixels])


def _unoptimised(rung: LoadedRung, spec: ModelSpec, device: Device) -> LoadedRung | None:
    try:
        engine = OnnxEngine(spec, threads=1, optimise=False, device=device)
    except EngineError:  # operators that exist only after a rewrite
        return None
    return LoadedRung(rung.name, engine, rung.geometry, rung.kind, rung.head)
