"""What whoever computed it was lost over is tried once more, each image alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from dc_gateway.upstreams.base import Shipped
from hawkvision.errors import DeadlineExceeded, HawkVisionError, UpstreamUnavailable

Once = Callable[[Sequence[Shipped]], list[Any]]


class Lost(Exception):
    """A worker process or a replica ended before it answered."""


def once_more(
    once: Once,
    images: Sequence[Shipped],
    lost: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[Any]:
    """What `once` makes of the images; where that is Lost, of each of them, within its deadline.

    Alone, so that one image that ends processes takes no other with it, and gets an error in its
    place. `lost` is told of a first loss. Raises the errors of a first try that is not Lost.
    """
    try:
        return once(images)
    except Lost:
        lost()
    return [_alone(once, image, clock) for image in images]


def _alone(once: Once, image: Shipped, clock: Callable[[], float]) -> Any:
    if clock() >= image.deadline:
        return DeadlineExceeded(
            "whoever computed the answer ended, and there is no time to try again",
            hint="Allow more time.",
        )
    try:
        return once([image])[0]
    except Lost:
        return UpstreamUnavailable(
            "whoever computed the answer ended, twice",
            hint="The gateway's log says why; if it is this image, do not send it again.",
        )
    except HawkVisionError as error:
        return error
