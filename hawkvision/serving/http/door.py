"""The HTTP port of a service: its routes behind a listener; how it begins, drains and ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from hawkvision.errors import HawkVisionError
from hawkvision.serving.http.connection import Connection, Fast
from hawkvision.serving.http.connections import Book, Seat
from hawkvision.serving.http.listener import Handing, Listener
from hawkvision.serving.http.log import SERVER_LOG
from hawkvision.serving.http.routes import Entrance

_ACCEPTED_S = 0.1
"""How long connections accepted last have to send their request, seconds."""

SAID_S = 0.25
"""How long clients have to take the last answers, seconds; for each of two steps."""

_LINGER_S = 2.0
"""How long the rest of a refused body is read and dropped, so that the client sees why."""


@dataclass(frozen=True, slots=True)
class DoorParts:
    """What a door may have more: TLS, other processes on the same port, a way past aiohttp.

    With `gives_up` a request ends when its client hangs up.
    """

    tls: ssl.SSLContext | None = None
    handing: Handing | None = None
    fast: Fast | None = None
    gives_up: bool = False


class HttpDoor:
    """Serves `app`, whose requests pass `entrance`; use it within one event loop.

    `refused` is told the code of what could not be read as a request. First `open`, then `start`
    or `listen`; in the end `drain`, `refuse` and `hang_up`, each of which may be left out.
    """

    def __init__(
        self,
        app: web.Application,
        entrance: Entrance,
        book: Book,
        refused: Callable[[str], None],
        parts: DoorParts,
    ) -> None:
        self._app = app
        self._entrance = entrance
        self._book = book
        self._refused = refused
        self._parts = parts
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None

    async def open(self) -> None:
        """Make what listens."""
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            logger=SERVER_LOG,
            handle_signals=False,
            handler_cancellation=self._parts.gives_up,
            shutdown_timeout=SAID_S,
        )
        await self._runner.setup()
        self._listener = Listener(
            self._book, self._connection, self._parts.tls, self._parts.handing
        )

    async def start(self, host: str, port: int, option: str) -> int:
        """Listen on every address of a host; the port, a free one for 0.

        Raises HawkVisionError, naming the option, where it cannot.
        """
        assert self._listener is not None
        try:
            return await self._listener.start(host, port)
        except OSError as error:
            raise HawkVisionError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                hint=f"Choose another {option}, or stop what holds it.",
            ) from error

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept from sockets that listen and do not block."""
        assert self._listener is not None
        self._listener.listen(sockets)

    def _connection(self, seat: Seat) -> Connection:
        assert self._runner is not None and self._runner.server is not None
        return Connection(
            self._runner.server,
            seat,
            self._refused,
            loop=asyncio.get_running_loop(),
            fast=self._parts.fast,
            access_log=None,
            auto_decompress=False,
            lingering_time=_LINGER_S,
        )

    async def drain(self, grace_s: float) -> None:
        """Accept no more, and finish what runs, for so long at most."""
        if self._listener is not None:
            self._listener.stop()
        await asyncio.sleep(_ACCEPTED_S)
        if self._listener is not None:
            self._listener.close_silent()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._entrance.idle.wait()

    async def refuse(self) -> None:
        """Who still waits for an answer is told that there will be none."""
        self._entrance.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAID_S):
                await self._entrance.idle.wait()
        if self._listener is not None:
            self._listener.stop()
            self._listener.dismiss()

    async def hang_up(self) -> None:
        """End all connections, after a moment in which clients take the last answers."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._listener is not None:
            self._listener.close()
