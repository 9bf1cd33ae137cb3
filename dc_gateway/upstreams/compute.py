"""A rung's answers to encoded images, where they are computed: a worker process, a replica."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from dc_gateway.upstreams.wire import Done, Work
from hawkvision.errors import (
    DeadlineExceeded,
    EngineError,
    HawkVisionError,
    InvalidRequest,
    Overloaded,
)
from hawkvision.images import ImageLimits
from hawkvision.rungs import LoadedRung, Pixels

Rungs = Mapping[tuple[str, str], LoadedRung]
"""By task and name."""


def compute(
    rungs: Rungs, work: Work, limits: ImageLimits, clock: Callable[[], float] = time.monotonic
) -> Done:
    """Decode each image, which may fail alone, and run the network over the others.

    When the time is over, what is not decoded yet is left. Raises EngineError.
    """
    rung = rungs.get((work.task, work.rung))
    if rung is None:
        raise EngineError(f"no rung {work.rung!r} of task {work.task!r} is loaded here")
    until = clock() + work.left_s
    pixels: list[Pixels] = []
    faults: dict[int, HawkVisionError] = {}
    for index, image in enumerate(work.images):
        try:
            if clock() >= until and (index or work.left_s <= 0):
                raise DeadlineExceeded(
                    "the deadline passed before the image was decoded", hint="Allow more time."
                )
            pixels.append(rung.prepare(image, limits))
        except (InvalidRequest, Overloaded, DeadlineExceeded) as error:
            faults[index] = error
    outputs = rung.kind.encode(rung.predict(pixels)) if pixels else {}
    return Done(outputs, faults)
