"""The asyncio client, on aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import aiohttp

from hawkvision.client import operations
from hawkvision.client.connection import trusted, unreachable
from hawkvision.client.events import SILENCE_S, EventReader
from hawkvision.client.images import Image, encoded
from hawkvision.client.operations import Asked
from hawkvision.client.requests import DEFAULT_URL, Operation, Reply, base_url, bearer
from hawkvision.contract.agents import AgentStatus
from hawkvision.contract.answer import Answer
from hawkvision.contract.apps import AppInfo
from hawkvision.contract.delivered import Report
from hawkvision.contract.fields import Json
from hawkvision.contract.power import PowerStatus
from hawkvision.contract.results import Result
from hawkvision.contract.stream import StreamEvent, StreamStatus
from hawkvision.contract.task import TaskInfo
from hawkvision.errors import AgentUnreachable
from hawkvision.lossy.offer import StreamOffer

T = TypeVar("T")


class AsyncClient:
    """Talks to one agent; use as an async context manager. Raises HawkVisionError.

    The same methods as `Client`, where they are described; files are read and pixels encoded on
    another thread.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = 30.0,
        ca: str | Path | None = None,
        key: str | None = None,
    ) -> None:
        self._key = key
        self._url = base_url(url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._trusted = trusted(self._url, ca)
        self._session: aiohttp.ClientSession | None = None

    async def classify(self, image: Image, **asked: Unpack[Asked]) -> Answer:
        """The answer for one image."""
        return await self._send(operations.classify(await _bytes_of(image), **asked))

    async def classify_many(self, images: Sequence[Image], **asked: Unpack[Asked]) -> list[Result]:
        """The answers for several images in one request, an error in place of a failed one."""
        if not images:
            return []
        data = [await _bytes_of(image) for image in images]
        return await self._send(operations.classify_many(data, **asked))

    async def tasks(self) -> list[TaskInfo]:
        """The tasks served, the default one first."""
        return await self._send(operations.tasks())

    async def task(self, name: str) -> TaskInfo:
        """One task. Raises UnknownTask."""
        return await self._send(operations.task(name))

    async def curve(self, task: str, *, link_ms: float = 20.0) -> dict[str, Any]:
        """What each accuracy target of a task costs, as the agent computes it."""
        return await self._send(operations.curve(task, link_ms))

    async def delivered(self, *, task: str | None = None, app: str | None = None) -> Report:
        """Delivered accuracy of a task or an app by window; see docs/operate.md."""
        return await self._send(operations.delivered(task, app))

    async def feedback(
        self, request_id: str, label: str | int | Mapping[str, Json], *, key: str | None = None
    ) -> bool:
        """Send the true label (or class index) of an answer; whether it counted."""
        return await self._send(operations.feedback(request_id, label, key))

    async def apps(self) -> list[AppInfo]:
        """What is stored for all apps."""
        return await self._send(operations.apps())

    async def app(self, name: str) -> AppInfo:
        """What requests of an app ask for. Raises UnknownApp."""
        return await self._send(operations.app(name))

    async def put_app(self, app: AppInfo, *, key: str | None = None) -> AppInfo:
        """Store what requests of an app ask for. Raises TargetUnreachable."""
        return await self._send(operations.put_app(app, key))

    async def delete_app(self, name: str, *, key: str | None = None) -> None:
        """Forget an app. Raises UnknownApp."""
        await self._send(operations.delete_app(name, key))

    async def agents(self) -> list[AgentStatus]:
        """The fleet's agents that are alive."""
        return await self._send(operations.agents())

    async def power(self) -> PowerStatus:
        """Power, energy and temperature of the agent's machine, read now."""
        return await self._send(operations.power())

    async def open_stream(self, body: Mapping[str, Json]) -> StreamOffer:
        """Open a lossy stream; see `hawkvision.client.lossy` for sending into it."""
        return await self._send(operations.open_stream(body))

    async def stream_status(self, stream_id: str) -> StreamStatus:
        """Counts and advice of a lossy stream. Raises UnknownStream."""
        return await self._send(operations.stream_status(stream_id))

    async def close_stream(self, stream_id: str) -> None:
        """End a lossy stream. Raises UnknownStream."""
        await self._send(operations.close_stream(stream_id))

    async def stream_events(
        self, stream_id: str, *, after: int | None = None
    ) -> AsyncIterator[StreamEvent]:
        """Events of a lossy stream until it ends; `after` 0 begins with the recent ones.

        Raises UnknownStream.
        """
        operation, events = operations.stream_events(stream_id, after), EventReader()
        timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENCE_S)
        try:
            async with self._request(operation, timeout=timeout) as reply:
                if reply.status != 200:
                    operation.read(await _read(reply))
                async for line in reply.content:
                    if (event := events.line(line)) is not None:
                        yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self._url, error) from error

    async def ready(self) -> bool:
        """Whether the agent takes traffic."""
        try:
            return await self._send(operations.ready())
        except AgentUnreachable:
            return False

    async def _send(self, operation: Operation[T]) -> T:
        try:
            async with self._request(operation) as reply:
                received = await _read(reply)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self._url, error) from error
        return operation.read(received)

    def _request(self, operation: Operation[Any], **how: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=0, ssl=self._trusted or True),
            )
        return self._session.request(
            operation.method,
            self._url + operation.path,
            data=operation.body,
            headers={**bearer(self._key), **operation.headers},
            **how,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()


async def _bytes_of(image: Image) -> bytes:
    return image if isinstance(image, bytes) else await asyncio.to_thread(encoded, image)


async def _read(reply: aiohttp.ClientResponse) -> Reply:
    return Reply(reply.status, await reply.read(), reply.headers.get("Retry-After"))
