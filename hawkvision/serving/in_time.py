"""An answer in time: what its client allows, and the most that a service gives to any."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from hawkvision.errors import DeadlineExceeded

T = TypeVar("T")


async def by_deadline(answer: Awaitable[T], due: float) -> T:
    """The answer by the time that its request named (`time.monotonic`), then it is cancelled.

    Raises DeadlineExceeded.
    """
    try:
        async with asyncio.timeout(due - time.monotonic()):
            return await answer
    except TimeoutError as error:
        raise DeadlineExceeded(
            "no answer within the deadline of the request", hint="Allow it more time."
        ) from error
    finally:
        del answer  # a future that failed holds its error, which holds this frame


async def in_time(answer: Awaitable[T], until: float, most_s: float) -> T:
    """The answer by that time (`time.monotonic`), after which it is cancelled.

    Raises DeadlineExceeded, naming the seconds that a call may take at most.
    """
    try:
        async with asyncio.timeout(until - time.monotonic()):
            return await answer
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"no answer within {most_s:g} s, the most that a call may take here",
            hint="Send fewer images at once.",
        ) from error
