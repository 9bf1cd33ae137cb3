"""Long work on the event loop in pieces, so that requests are answered between two of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import TypeVar

T = TypeVar("T")


async def in_turns(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """The items, one after another; others have a turn after each, and after what it was for."""
    for item in items:
        yield item
        await asyncio.sleep(0)
