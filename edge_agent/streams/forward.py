"""Datagrams that came to a worker whose streams they do not belong to, on to the one that has them.

The kernel spreads datagrams by their addresses; whose a stream is, its SSRC says: the remainder by
the number of workers. Between workers they go over private sockets, in order, each with the address
that it came from.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import orjson

from edge_agent.place import Place

Address = tuple[Any, ...]
_HEAD = struct.Struct(">IBB")
_DATAGRAM, _HINT = 0, 1
_MOST_WAITING = 4 * 1024 * 1024
"""Bytes on the way to one worker, as in the receive buffer of a socket; more are dropped."""

_TRY_AGAIN_S = 0.1


class Forwarding:
    """`take` gets datagrams for streams of this worker, `hint` addresses of unknown senders."""

    def __init__(
        self,
        place: Place,
        take: Callable[[bytes, Address], None],
        hint: Callable[[Address], None],
    ) -> None:
        self.index, self.count = place.index, place.count
        self._take = take
        self._hint = hint
        self._own = place.socket_of("rtp", place.index)
        self._lines = {other: _Line(place.socket_of("rtp", other)) for other in place.others}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Take in what others send. Raises OSError."""
        self._own.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: _Incoming(self._take, self._hint), str(self._own)
        )

    def is_own(self, ssrc: int) -> bool:
        """Whether a stream with this SSRC is, or was, of this worker."""
        return ssrc % self.count == self.index

    def send(self, ssrc: int, data: bytes, address: Address) -> bool:
        """To the worker that has the stream; False where it does not take anything now."""
        return self._lines[ssrc % self.count].send(_DATAGRAM, data, address)

    def hint(self, address: Address) -> None:
        """To all others: somebody there sends to no stream."""
        for line in self._lines.values():
            line.send(_HINT, b"", address)

    def close(self) -> None:
        """End."""
        for line in self._lines.values():
            line.close()
        if self._server is not None:
            self._server.close()
            self._own.unlink(missing_ok=True)


class _Line(asyncio.Protocol):
    """To one other worker, opened when there is something to send, and again after it ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._failed_at = -_TRY_AGAIN_S
        self._first: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def send(self, kind: int, data: bytes, address: Address) -> bool:
        where = orjson.dumps(address)
        message = _HEAD.pack(len(data), kind, len(where)) + where + data
        if self._transport is not None:
            if self._transport.get_write_buffer_size() > _MOST_WAITING:
                return False
            self._transport.write(message)
            return True
        if self._opening is None:
            if self._loop.time() - self._failed_at < _TRY_AGAIN_S:
                return False
            self._opening = self._loop.create_task(self._open())
        if sum(map(len, self._first)) > _MOST_WAITING:
            return False
        self._first.append(message)
        return True

    async def _open(self) -> None:
        try:
            await self._loop.create_unix_connection(lambda: self, str(self._path))
        except OSError:
            self._failed_at = self._loop.time()
        finally:
            self._opening = None
            self._first.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.writelines(self._first)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio: the worker has ended."""
        self._transport = None

    def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._transport is not None:
            self._transport.abort()


class _Incoming(asyncio.Protocol):
    """From one other worker."""

    def __init__(
        self, take: Callable[[bytes, Address], None], hint: Callable[[Address], None]
    ) -> None:
        self._take = take
        self._hint = hint
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._buffer += data
        at = 0
        with memoryview(self._buffer) as view:
            while len(view) - at >= _HEAD.size:
                length, kind, address_length = _HEAD.unpack_from(view, at)
                start = at + _HEAD.size + address_length
                if len(view) < start + length:
                    break
                address = tuple(orjson.loads(view[at + _HEAD.size : start]))
                if kind == _HINT:
                    self._hint(address)
                else:
                    self._take(bytes(view[start : start + length]), address)
                at = start + length
        del self._buffer[:at]
