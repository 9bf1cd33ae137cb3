"""Calls between the processes of one service, over a socket in a folder that is theirs alone.

A message is its length in four bytes and JSON. Calls of one connection run beside each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson

_log = logging.getLogger(__name__)
_LENGTH = struct.Struct(">I")
_TIMEOUT_S = 2.0
_PARTS_S = 0.5

Handler = Callable[[Any], Awaitable[Any]]
"""Takes and gives what JSON can say."""


class CallsFailed(Exception):
    """The other process is away, or could not do it."""


class Calls(Protocol):
    """Whoever can be called."""

    async def call(self, name: str, argument: Any = None, *, patient: bool = False) -> Any:
        """What is answered, within a bounded time but where `patient`. Raises CallsFailed."""
        ...


class CallServer:
    """Answers calls by name, from `start` to `close`."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = dict(handlers)
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.StreamWriter, asyncio.Task[Any]] = {}

    async def start(self, path: Path) -> None:
        """Listen on a socket at `path`. Raises OSError."""
        self._server = await asyncio.start_unix_server(self._connected, path)

    def descriptors(self) -> list[int]:
        """Of all its sockets, for a process that is forked and must not hold them."""
        found = [sock.fileno() for sock in (self._server.sockets if self._server else ())]
        for line in self._lines:
            sock = line.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                found.append(sock.fileno())
        return found

    async def _connected(self, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        self._lines[line] = me
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                number, name, argument = await _receive(reader)
                task = asyncio.create_task(self._answer(line, number, name, argument))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:  # by `close`
            pass
        finally:
            for task in under_way:
                task.cancel()
            del self._lines[line]
            line.close()

    async def _answer(
        self, line: asyncio.StreamWriter, number: int, name: str, argument: Any
    ) -> None:
        try:
            reply = [number, True, await self._handlers[name](argument)]
        except Exception as error:
            _log.exception("the call %r failed", name)
            reply = [number, False, f"{type(error).__name__}: {error}"]
        with contextlib.suppress(ConnectionError):
            _send(line, reply)
            await line.drain()

    async def close(self) -> None:
        """End it and its connections."""
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._lines.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_PARTS_S)


class Caller:
    """Calls the server at `path`; connects when it is needed. Use it within one event loop."""

    def __init__(self, path: Path, timeout_s: float = _TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._line: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def call(self, name: str, argument: Any = None, *, patient: bool = False) -> Any:
        """What the server answers; see `Calls`."""
        number = next(self._numbers)
        waiting = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(None if patient else self._timeout_s):
                line = await self._connected()
                self._waiting[number] = waiting
                _send(line, [number, name, argument])
                await line.drain()
                return await waiting
        except (OSError, TimeoutError) as error:
            raise CallsFailed(f"the parent process does not answer: {error}") from error
        finally:
            self._waiting.pop(number, None)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._line is None:
                reader, self._line = await asyncio.open_unix_connection(self._path)
                self._reading = asyncio.create_task(self._read(reader, self._line))
            return self._line

    async def _read(self, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        try:
            while True:
                number, well, result = await _receive(reader)
                waiting = self._waiting.get(number)
                if waiting is None or waiting.done():
                    continue
                if well:
                    waiting.set_result(result)
                else:
                    waiting.set_exception(CallsFailed(str(result)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._line = None
            line.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(CallsFailed("the parent process is gone"))

    async def close(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading], timeout=_PARTS_S)


def _send(line: asyncio.StreamWriter, message: Any) -> None:
    data = orjson.dumps(message)
    line.write(_LENGTH.pack(len(data)) + data)


async def _receive(reader: asyncio.StreamReader) -> Any:
    [length] = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return orjson.loads(await reader.readexactly(length))
