"""The newest answers, and small pictures of them where somebody asked for those."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2

from edge_agent.outcome import Outcome
from hawkvision.contract.answer import Answer
from hawkvision.errors import HawkVisionError
from hawkvision.images import ImageLimits, decode
from hawkvision.tracking.trust import name_of

MOST = 24
"""Answers that are kept between two looks."""

_PICTURES_AT_ONCE = 4
_HELD_BYTES = 16 * 1024 * 1024
_SIDE = 96
_QUALITY = 75
_MOST_TEXT = 120


class _Given(NamedTuple):
    """An answer as it went out, its app as it is counted, and its image if that is to be shown."""

    answer: Answer
    app: str
    loss: float
    at: float
    image: bytes | None


class Recent:
    """What was answered since the last look. `pictures` off: no image outlives its request.

    Images are held until the next look, 16 MiB of them at most.
    """

    def __init__(
        self,
        limits: ImageLimits,
        *,
        pictures: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._pictures = pictures
        self._clock = clock
        self._fresh: deque[_Given] = deque(maxlen=MOST)
        self._held = 0

    def answered(self, outcome: Outcome, answer: Answer) -> None:
        """On the way of a request: an entry in a short queue."""
        image = outcome.image if self._pictures else None
        if image is not None:
            self._held += len(image)
            if self._held > _HELD_BYTES:
                image = None
        self._fresh.append(
            _Given(answer, outcome.app, outcome.loss_level, self._clock(), image),
        )

    async def take(self) -> list[dict[str, Any]]:
        """For JSON, oldest first; pictures of the newest four, made on another thread."""
        given, self._held = list(self._fresh), 0
        self._fresh.clear()
        found = [_shown(one) for one in given]
        with_image = [index for index, one in enumerate(given) if one.image is not None]
        for index in with_image[-_PICTURES_AT_ONCE:]:
            found[index]["picture"] = await asyncio.to_thread(
                picture, given[index].image or b"", self._limits
            )
        return found


def _shown(given: _Given) -> dict[str, Any]:
    answer = given.answer
    label = answer.prediction.get("label")
    return {
        "t": round(given.at, 2),
        "task": answer.task[:_MOST_TEXT],
        "label": label[:_MOST_TEXT] if isinstance(label, str) else None,
        "confidence": round(answer.confidence, 4),
        "target": answer.accuracy.target,
        "certified": answer.accuracy.certified,
        "reason": answer.accuracy.reason,
        "served_by": answer.served_by,
        "rung": answer.rung[:_MOST_TEXT],
        "degraded": answer.degraded,
        "lost": given.loss,
        "ms": round(answer.timing_ms["total"], 2),
        "app": name_of(given.app)[:_MOST_TEXT],
    }


def picture(image: bytes, limits: ImageLimits) -> str | None:
    """A small copy of an encoded image as a `data:` URL, 96 px at most; None if it has none."""
    try:
        pixels = decode(image, limits, min_side=_SIDE)
    except HawkVisionError:
        return None
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return (
        "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode() if done else None
    )
