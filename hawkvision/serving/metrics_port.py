"""A port of `GET /metrics`, or of probes alone, for a service without HTTP of its own.

Few connections, one request each, and a deadline for it all, a handshake of TLS too: it can be
reached by anybody whom its address reaches, and takes next to nothing from the service. Probes have
a port of their own (`--health-port`), because those of Kubernetes show no certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from hawkvision.errors import HawkVisionError

_MOST_CONNECTIONS = 16
_DEADLINE_S = 5.0
_MOST_HEAD_BYTES = 8192
_AGAIN_S = 0.2


class MetricsPort:
    """Serves a registry, under TLS with a context for it; use it within one event loop.

    With `ready` it says that instead, in the clear: `GET /v2/health/live` and `/v2/health/ready`.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None,
        tls: ssl.SSLContext | None = None,
        *,
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self._registry = registry
        self._tls = tls
        self._ready = ready
        self._sockets: list[socket.socket] = []
        self._work: set[asyncio.Task[None]] = set()
        self._open = 0

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, a free one for 0. Raises HawkVisionError if it cannot."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, _, _, _, address in dict.fromkeys(found):
                where = (str(address[0]), port, *address[2:])
                sock = socket.create_server(where, family=family)
                sock.setblocking(False)
                self._sockets.append(sock)
                port = int(sock.getsockname()[1])
        except OSError as error:
            self.close()
            raise HawkVisionError(
                f"cannot listen on {host}:{port} for {self._what}: {error.strerror or error}",
                hint=f"Choose another --{self._what}-port, or stop what holds it.",
            ) from error
        for sock in self._sockets:
            self._keep(self._accept(sock))
        return port

    @property
    def _what(self) -> str:
        return "metrics" if self._ready is None else "health"

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _accept(self, listening: socket.socket) -> None:
        """Who connects has a place from then on, before any handshake."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except OSError:  # the client has gone already, or no descriptor is free
                await asyncio.sleep(_AGAIN_S)
                continue
            if self._open >= _MOST_CONNECTIONS:
                sock.close()
                continue
            sock.setblocking(False)
            self._open += 1
            self._keep(self._serve(sock))

    async def _serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_MOST_HEAD_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: asyncio.WriteTransport | None = None
        try:
            with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_DEADLINE_S):
                    transport, _ = await loop.connect_accepted_socket(
                        lambda: protocol, sock, ssl=self._tls
                    )
                    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                    writer.write(await self._answer(reader))
                    writer.close()
                    await writer.wait_closed()
        finally:
            self._open -= 1
            if transport is None:
                sock.close()
            else:
                transport.abort()  # what was not taken by then

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _reply("431 Request Header Fields Too Large", b"too long\n")
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _reply("405 Method Not Allowed", b"GET\n")
        if self._ready is not None and path in (b"/v2/health/live", b"/v2/health/ready"):
            well = path.endswith(b"live") or self._ready()
            return _reply("200 OK" if well else "503 Service Unavailable", b"")
        if self._registry is None or path != b"/metrics":
            hint = b"GET /metrics\n" if self._ready is None else b"GET /v2/health/ready\n"
            return _reply("404 Not Found", hint)
        body = await asyncio.to_thread(generate_latest, self._registry)
        return _reply("200 OK", body, CONTENT_TYPE_LATEST, head_only=method == b"HEAD")

    def close(self) -> None:
        """Listen no more; what is being answered is cut off."""
        for task in self._work:
            task.cancel()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()


def _reply(
    status: str, body: bytes, kind: str = "text/plain; charset=utf-8", *, head_only: bool = False
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if head_only else body)
