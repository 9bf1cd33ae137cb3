"""The asyncio client, on aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from hawkvision.client.requests import (
    DEFAULT_URL,
    Prepared,
    base_url,
    curve_path,
    delivered_path,
    feedback_body,
    prepare,
    stream_path,
    task_path,
)
from hawkvision.contract.answers import (
    Answer,
    TaskInfo,
    check_reply,
    only_result,
    parse_answer,
    parse_results,
    parse_task,
    unreachable,
)
from hawkvision.errors import HawkVisionError


class AsyncClient:
    """Talks to one agent; use as an async context manager. Raises HawkVisionError."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 30.0) -> None:
        self._url = base_url(url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def classify(
        self,
        image: bytes | Path,
        *,
        accuracy: float | str | None = None,
        deadline_ms: float | None = None,
        top_k: int | None = None,
        task: str | None = None,
        app: str | None = None,
    ) -> Answer:
        """The answer for one encoded image."""
        request = prepare(
            [image], accuracy=accuracy, deadline_ms=deadline_ms, top_k=top_k, task=task, app=app
        )
        return parse_answer(await self._post(request))

    async def classify_many(
        self,
        images: Sequence[bytes | Path],
        *,
        accuracy: float | str | None = None,
        deadline_ms: float | None = None,
        top_k: int | None = None,
        task: str | None = None,
        app: str | None = None,
    ) -> list[Answer | HawkVisionError]:
        """The answers for several images in one request, an error in place of a failed one."""
        if not images:
            return []
        request = prepare(
            images, accuracy=accuracy, deadline_ms=deadline_ms, top_k=top_k, task=task, app=app
        )
        try:
            return parse_results(await self._post(request))
        except HawkVisionError as error:
            if len(images) > 1:
                raise
            return only_result(error)

    async def tasks(self) -> list[TaskInfo]:
        """The tasks served, the default one first."""
        return [parse_task(task) for task in (await self._get("/v1/tasks"))["tasks"]]

    async def task(self, name: str) -> TaskInfo:
        """One task. Raises UnknownTask."""
        return parse_task(await self._get(task_path(name)))

    async def curve(self, task: str, *, link_ms: float = 20.0) -> dict[str, Any]:
        """What each accuracy target of a task costs, as the agent computes it."""
        body: dict[str, Any] = await self._get(curve_path(task, link_ms))
        return body

    async def delivered(self, *, task: str | None = None, app: str | None = None) -> dict[str, Any]:
        """Delivered accuracy of a task or an app by window; see docs/operate.md."""
        body: dict[str, Any] = await self._get(delivered_path(task, app))
        return body

    async def feedback(self, request_id: str, label: str | int, *, key: str | None = None) -> bool:
        """Send the true label (or class index) of an answer; whether it counted.

        `key` is the app's, where the agent asks for keys.
        """
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        data = feedback_body(request_id, label)
        body = await self._send("POST", "/v1/feedback", data, headers)
        return bool(body["counted"])

    async def open_stream(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Open a lossy stream; see `hawkvision.client.lossy` for sending into it."""
        headers = {"Content-Type": "application/json"}
        opened: Mapping[str, Any] = await self._send(
            "POST", "/v1/streams", orjson.dumps(body), headers
        )
        return opened

    async def stream_status(self, stream_id: str) -> Mapping[str, Any]:
        """Counts and advice of a lossy stream. Raises UnknownStream."""
        found: Mapping[str, Any] = await self._get(stream_path(stream_id))
        return found

    async def close_stream(self, stream_id: str) -> None:
        """End a lossy stream. Raises UnknownStream."""
        await self._send("DELETE", stream_path(stream_id), None, {})

    async def stream_events(
        self, stream_id: str, *, after: int | None = None
    ) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """Events of a lossy stream: (`result` | `advice` | `end`, its JSON), until it ends.

        `after` 0 begins with the recent ones. Raises UnknownStream.
        """
        path = f"{stream_path(stream_id)}/results" + ("" if after is None else f"?after={after}")
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        try:
            async with self._open().get(self._url + path, timeout=timeout) as reply:
                if reply.status != 200:
                    check_reply(reply.status, await reply.read(), reply.headers.get("Retry-After"))
                name = ""
                async for line in reply.content:
                    if line.startswith(b"event: "):
                        name = line[7:].strip().decode()
                    elif line.startswith(b"data: "):
                        yield name, orjson.loads(line[6:])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self._url, error) from error

    async def ready(self) -> bool:
        """Whether the agent takes traffic."""
        try:
            async with self._open().get(f"{self._url}/v2/health/ready") as reply:
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _get(self, path: str) -> Any:
        return await self._send("GET", path, None, {})

    async def _post(self, request: Prepared) -> Any:
        headers = {"Content-Type": request.content_type}
        return await self._send("POST", request.path, request.body, headers)

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Any:
        try:
            async with self._open().request(
                method, self._url + path, data=body, headers=headers
            ) as reply:
                data = await reply.read()
                if reply.status == 204:
                    return None
                return check_reply(reply.status, data, reply.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self._url, error) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(limit=0)
            )
        return self._session

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
