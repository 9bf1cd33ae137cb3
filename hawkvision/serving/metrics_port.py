"""A port of `GET /metrics` and of probes, and nothing else, for a service without HTTP of its own.

Kubernetes' gRPC probes speak no TLS; `/v2/health/live` and `/v2/health/ready` here are for those.
Few connections, one request each, and a deadline for it all: it can be reached by anybody whom its
address reaches, and takes next to nothing from the service.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from hawkvision.errors import HawkVisionError

_MOST_CONNECTIONS = 16
_DEADLINE_S = 5.0
_MOST_HEAD_BYTES = 8192


class MetricsPort:
    """Serves a registry, and whether the service is `ready`; use it within one event loop."""

    def __init__(self, registry: CollectorRegistry, ready: Callable[[], bool]) -> None:
        self._registry = registry
        self._ready = ready
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, a free one for 0. Raises HawkVisionError if it cannot."""
        try:
            self._server = await asyncio.start_server(
                self._connected, host, port, limit=_MOST_HEAD_BYTES
            )
        except OSError as error:
            raise HawkVisionError(
                f"cannot listen on {host}:{port} for metrics: {error.strerror or error}",
                hint="Choose another --metrics-port, or stop what holds it.",
            ) from error
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._open += 1
        try:
            with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_DEADLINE_S):
                    writer.write(await self._answer(reader))
                    writer.close()
                    await writer.wait_closed()
        finally:
            self._open -= 1
            writer.transport.abort()  # what was not taken by then

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _reply("431 Request Header Fields Too Large", b"too long\n")
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _reply("405 Method Not Allowed", b"GET /metrics\n")
        if path == b"/v2/health/live" or (path == b"/v2/health/ready" and self._ready()):
            return _reply("200 OK", b"")
        if path == b"/v2/health/ready":
            return _reply("503 Service Unavailable", b"")
        if path != b"/metrics":
            return _reply("404 Not Found", b"GET /metrics\n")
        body = await asyncio.to_thread(generate_latest, self._registry)
        return _reply("200 OK", body, CONTENT_TYPE_LATEST, head_only=method == b"HEAD")

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None


def _reply(
    status: str, body: bytes, kind: str = "text/plain; charset=utf-8", *, head_only: bool = False
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if head_only else body)
