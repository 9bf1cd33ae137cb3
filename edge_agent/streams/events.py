"""What a stream tells its listeners: a bounded queue for each, and the recent past."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any

from hawkvision.contract.stream import StreamEvent

_KEPT = 64
_QUEUED = 256


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    number: int
    name: str
    data: dict[str, Any]


class StreamEvents:
    """Who does not read loses the oldest; `dropped` counts those."""

    def __init__(self) -> None:
        self.dropped = 0
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._recent: deque[Event] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)

    def publish(self, told: StreamEvent) -> dict[str, Any]:
        """To the listeners, now and later; its JSON object."""
        event = Event(next(self._numbers), told.event, told.as_dict())
        self._recent.append(event)
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
                self.dropped += 1
            queue.put_nowait(event)
        return event.data

    def listen(self, after: int | None) -> asyncio.Queue[Event | None]:
        """A queue of events to come, and of recent ones after number `after`; None is the end."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_QUEUED)
        if after is not None:
            for event in self._recent:
                if event.number > after:
                    queue.put_nowait(event)
        self._listeners.add(queue)
        return queue

    def unlisten(self, queue: asyncio.Queue[Event | None]) -> None:
        """Forget a listener."""
        self._listeners.discard(queue)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def end(self) -> None:
        """Nothing more comes."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
