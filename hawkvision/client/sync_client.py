"""The blocking client, on urllib3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

from hawkvision.client.requests import (
    DEFAULT_URL,
    Prepared,
    base_url,
    curve_path,
    delivered_path,
    feedback_body,
    prepare,
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


class Client:
    """Talks to one agent; usable from several threads. Raises HawkVisionError."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 30.0) -> None:
        self._url = base_url(url)
        self._pool = urllib3.PoolManager(retries=False, timeout=timeout_s, maxsize=8)

    def classify(
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
        return parse_answer(self._post(request))

    def classify_many(
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
            return parse_results(self._post(request))
        except HawkVisionError as error:
            if len(images) > 1:
                raise
            return only_result(error)

    def tasks(self) -> list[TaskInfo]:
        """The tasks served, the default one first."""
        return [parse_task(task) for task in self._get("/v1/tasks")["tasks"]]

    def task(self, name: str) -> TaskInfo:
        """One task. Raises UnknownTask."""
        return parse_task(self._get(task_path(name)))

    def curve(self, task: str, *, link_ms: float = 20.0) -> dict[str, Any]:
        """What each accuracy target of a task costs, as the agent computes it."""
        body: dict[str, Any] = self._get(curve_path(task, link_ms))
        return body

    def delivered(self, *, task: str | None = None, app: str | None = None) -> dict[str, Any]:
        """Delivered accuracy of a task or an app by window; see docs/operate.md."""
        body: dict[str, Any] = self._get(delivered_path(task, app))
        return body

    def feedback(self, request_id: str, label: str | int, *, key: str | None = None) -> bool:
        """Send the true label (or class index) of an answer; whether it counted.

        `key` is the app's, where the agent asks for keys.
        """
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        data = feedback_body(request_id, label)
        body = self._send("POST", "/v1/feedback", data, headers)
        return bool(body["counted"])

    def ready(self) -> bool:
        """Whether the agent takes traffic."""
        try:
            return self._pool.request("GET", f"{self._url}/v2/health/ready").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _get(self, path: str) -> Any:
        return self._send("GET", path, None, {})

    def _post(self, request: Prepared) -> Any:
        headers = {"Content-Type": request.content_type}
        return self._send("POST", request.path, request.body, headers)

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Any:
        try:
            reply = self._pool.request(method, self._url + path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self._url, error) from error
        return check_reply(reply.status, reply.data, reply.headers.get("Retry-After"))

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
