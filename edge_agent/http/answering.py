"""The images of one request of the Open Inference Protocol, all of them answered or none."""

from __future__ import annotations

import asyncio

import numpy as np
import numpy.typing as npt

from edge_agent.classify import Classifier, Request, each
from edge_agent.outcome import Outcome
from hawkvision.contract.answer import Answer
from hawkvision.serving.pixels import PngOf


async def encoded(
    classifier: Classifier, picture: bytes | npt.NDArray[np.uint8], resolved: Request
) -> bytes:
    """Plain pixels become a PNG: from there on they are an image like any other."""
    if isinstance(picture, bytes):
        return picture
    work = PngOf(resolved.local.limits)
    return await classifier.pool.submit(work, picture, deadline=resolved.deadline)


async def answers_to(
    classifier: Classifier, images: list[bytes], resolved: Request
) -> list[tuple[Outcome, Answer]]:
    """All answers, or the first error. The others are waited for: nothing is left at work."""
    if len(images) == 1:
        return [await classifier.answer(images[0], resolved)]
    answers = await asyncio.gather(
        *(classifier.answer(*one) for one in each(images, resolved)),
        return_exceptions=True,
    )
    found = []
    for one in answers:
        if isinstance(one, BaseException):
            raise one
        found.append(one)
    return found
