"""The blocking client, on urllib3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import urllib3

from hawkvision.client import operations
from hawkvision.client.connection import trusted, unreachable
from hawkvision.client.events import SILENCE_S, EventReader
from hawkvision.client.images import Image
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


class Client:
    """Talks to one agent; usable from several threads. Raises HawkVisionError.

    `ca` is the file of an authority that signed the agent's certificate; by default those that
    this machine trusts count, and the one that the environment variable SSL_CERT_FILE names. `key`
    is an app's: requests that carry it are counted as the app's, where the agent asks for keys.
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
        self._pool = urllib3.PoolManager(
            retries=False, timeout=timeout_s, maxsize=8, ssl_context=trusted(self._url, ca)
        )

    def classify(self, image: Image, **asked: Unpack[Asked]) -> Answer:
        """The answer for one image: encoded bytes, a path, uint8 RGB [H,W,3], or Pillow's.

        `asked`: `accuracy`, `deadline_ms`, `top_k`, `task`, `app`.
        """
        return self._send(operations.classify(image, **asked))

    def classify_many(self, images: Sequence[Image], **asked: Unpack[Asked]) -> list[Result]:
        """The answers for several images in one request, an error in place of a failed one."""
        return self._send(operations.classify_many(images, **asked)) if images else []

    def tasks(self) -> list[TaskInfo]:
        """The tasks served, the default one first."""
        return self._send(operations.tasks())

    def task(self, name: str) -> TaskInfo:
        """One task. Raises UnknownTask."""
        return self._send(operations.task(name))

    def curve(self, task: str, *, link_ms: float = 20.0) -> dict[str, Any]:
        """What each accuracy target of a task costs, as the agent computes it."""
        return self._send(operations.curve(task, link_ms))

    def delivered(self, *, task: str | None = None, app: str | None = None) -> Report:
        """Delivered accuracy of a task or an app by window; see docs/operate.md."""
        return self._send(operations.delivered(task, app))

    def feedback(
        self, request_id: str, label: str | int | Mapping[str, Json], *, key: str | None = None
    ) -> bool:
        """Send the true label (or class index) of an answer; whether it counted.

        For another kind of task than classification, `label` is an object of the kind's fields.
        `key` is the app's, where the agent asks for keys.
        """
        return self._send(operations.feedback(request_id, label, key))

    def apps(self) -> list[AppInfo]:
        """What is stored for all apps."""
        return self._send(operations.apps())

    def app(self, name: str) -> AppInfo:
        """What requests of an app ask for. Raises UnknownApp."""
        return self._send(operations.app(name))

    def put_app(self, app: AppInfo, *, key: str | None = None) -> AppInfo:
        """Store what requests of an app ask for. Raises TargetUnreachable."""
        return self._send(operations.put_app(app, key))

    def delete_app(self, name: str, *, key: str | None = None) -> None:
        """Forget an app. Raises UnknownApp."""
        self._send(operations.delete_app(name, key))

    def agents(self) -> list[AgentStatus]:
        """The fleet's agents that are alive."""
        return self._send(operations.agents())

    def power(self) -> PowerStatus:
        """Power, energy and temperature of the agent's machine, read now."""
        return self._send(operations.power())

    def open_stream(self, body: Mapping[str, Json]) -> StreamOffer:
        """Open a lossy stream; see `hawkvision.client.lossy` for sending into it."""
        return self._send(operations.open_stream(body))

    def stream_status(self, stream_id: str) -> StreamStatus:
        """Counts and advice of a lossy stream. Raises UnknownStream."""
        return self._send(operations.stream_status(stream_id))

    def close_stream(self, stream_id: str) -> None:
        """End a lossy stream. Raises UnknownStream."""
        self._send(operations.close_stream(stream_id))

    def stream_events(self, stream_id: str, *, after: int | None = None) -> Iterator[StreamEvent]:
        """Events of a lossy stream until it ends; `after` 0 begins with the recent ones.

        Raises UnknownStream.
        """
        operation, events = operations.stream_events(stream_id, after), EventReader()
        try:
            reply = self._request(operation, preload_content=False, timeout=SILENCE_S)
            try:
                if reply.status != 200:
                    operation.read(Reply(reply.status, reply.read()))
                for line in reply:
                    if (event := events.line(line)) is not None:
                        yield event
            finally:
                reply.close()
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self._url, error) from error

    def ready(self) -> bool:
        """Whether the agent takes traffic."""
        try:
            return self._send(operations.ready())
        except AgentUnreachable:
            return False

    def _send(self, operation: Operation[T]) -> T:
        try:
            reply = self._request(operation)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self._url, error) from error
        return operation.read(Reply(reply.status, reply.data, reply.headers.get("Retry-After")))

    def _request(self, operation: Operation[Any], **how: Any) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            operation.method,
            self._url + operation.path,
            body=operation.body,
            headers={**bearer(self._key), **operation.headers},
            **how,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()
