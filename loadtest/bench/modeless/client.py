"""An open-loop client in a process of its own: Poisson arrivals, whether answered or not.

`python -m loadtest.bench.modeless.client` reads plans as JSON from standard input, one a line, and
answers each with a line of what came back, one column for each field; it ends with its input. Times
are from when a request was meant to be sent. One process for several plans saves its start.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
import uvloop

from loadtest.arrivals import arrivals
from loadtest.mix import Mix
from loadtest.shapes import steady

_PATIENCE_S = 3.0
_WARM_UP = 10


@dataclass
class Columns:
    """One entry for each request that was due."""

    target: list[float] = field(default_factory=list)
    due_s: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    """-1 where no answer came."""
    status: list[int] = field(default_factory=list)
    """Of HTTP; 0 where none came, -1 where it was not even sent."""
    right: list[int] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    degraded: list[int] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    """How much later than due (before 0: sooner) the client itself sent it."""


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with one request at a time."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._data = b""
        self._reply: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._reply is not None and not self._reply.done():
            self._reply.set_result((0, b""))

    def ask(self, head: bytes, body: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send; status and body come back, status 0 where the connection ended."""
        reply = self._reply = asyncio.get_running_loop().create_future()
        if self._transport is None:
            reply.set_result((0, b""))
        else:
            self._transport.write(head)
            self._transport.write(body)
        return reply

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data if self._data else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        at = data[:end].lower().find(b"content-length:")
        length = int(data[at + 15 : data.find(b"\r\n", at)]) if at >= 0 else 0
        if len(data) < end + 4 + length:
            return
        self._data = b""
        reply, self._reply = self._reply, None
        if self._transport is not None and b"connection: close" not in data[:end].lower():
            self._pool.free.append(self)
        if reply is not None and not reply.done():
            reply.set_result((int(data[9:12]), data[end + 4 : end + 4 + length]))

    @property
    def open(self) -> bool:
        """Whether it can be used."""
        return self._transport is not None

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()


class _Pool:
    """Connections that are free, the last used first; new ones up to a number."""

    def __init__(self, host: str, port: int, most: int) -> None:
        self._at = (host, port)
        self._most = most
        self.free: deque[_Connection] = deque()
        self._count = 0

    async def take(self) -> _Connection | None:
        """One to use; None where too many are open."""
        while self.free:
            found = self.free.pop()
            if found.open:
                return found
            self._count -= 1
        if self._count >= self._most:
            return None
        self._count += 1
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(lambda: _Connection(self), *self._at)
        except OSError:
            self._count -= 1
            return None
        return made

    def lost(self, connection: _Connection) -> None:
        """It will not come back."""
        connection.close()
        self._count -= 1

    def close(self) -> None:
        """End those that are free."""
        for connection in self.free:
            connection.close()


Photos = list[tuple[bytes, str]]
"""Encoded, with their labels."""


class _Client:
    def __init__(self, plan: dict[str, Any], photos: Photos) -> None:
        self._plan = plan
        self._images = photos
        self._pool = _Pool(plan["host"], plan["port"], plan["connections"])
        self._rng = random.Random(plan["seed"])
        self._targets = Mix.of([(float(one), float(weight)) for one, weight in plan["targets"]])
        self._open: set[asyncio.Task[int]] = set()
        self._refusal = ""
        self.columns = Columns()

    async def run(self) -> None:
        plan = self._plan
        await self._warm_up()
        begun = time.perf_counter()
        loop = asyncio.get_running_loop()
        order = list(range(len(self._images)))
        self._rng.shuffle(order)
        number = 0
        for after, somebody in arrivals(steady(plan["rate"]), 1.0, self._rng):
            if after >= plan["seconds"]:
                break
            ahead = begun + after - time.perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
            if somebody:
                image = order[number % len(order)]
                number += 1
                asked = self._ask(image, self._targets.draw(self._rng), (begun, after))
                task = loop.create_task(asked)
                self._open.add(task)
                task.add_done_callback(self._open.discard)
        if self._open:
            await asyncio.wait(self._open, timeout=_PATIENCE_S)
        self._pool.close()

    async def _warm_up(self) -> None:
        """Some answers first: networks are loaded, connections opened. Ends where none comes."""
        answered, until = 0, time.perf_counter() + _PATIENCE_S
        while answered < _WARM_UP:
            status = await self._ask(answered, self._targets.values[-1], None)
            answered += status == 200
            if status != 200:
                if time.perf_counter() > until:
                    sys.exit(f"nobody answers: status {status} {self._refusal}")
                await asyncio.sleep(0.05)

    async def _ask(self, number: int, target: float, due: tuple[float, float] | None) -> int:
        image, wanted = self._images[number]
        head = (
            f"POST {self._plan['path']}&accuracy={target}&deadline_ms={self._plan['deadline_ms']:g}"
            f" HTTP/1.1\r\nHost: bench\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(image)}\r\n\r\n"
        ).encode()
        if due is None:
            row: int | None = None
        else:
            row = self._enter(target, due[1])
        connection = await self._pool.take()
        if connection is None:
            self._note(row, -1, b"", wanted, -1.0)
            return -1
        if row is not None and due is not None:
            self.columns.late_ms[row] = round((time.perf_counter() - sum(due)) * 1e3, 3)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                status, body = await connection.ask(head, image)
        except TimeoutError:
            status, body = 0, b""
        if status == 0:
            self._pool.lost(connection)
        took_s = time.perf_counter() - sum(due) if due is not None else 0.0
        self._note(row, status, body, wanted, took_s * 1e3)
        return status

    def _enter(self, target: float, due_s: float) -> int:
        columns = self.columns
        columns.target.append(target)
        columns.due_s.append(round(due_s, 4))
        columns.ms.append(-1.0)
        columns.status.append(0)
        columns.right.append(0)
        columns.by.append("")
        columns.degraded.append(0)
        columns.late_ms.append(0.0)
        return len(columns.target) - 1

    def _note(self, row: int | None, status: int, body: bytes, wanted: str, ms: float) -> None:
        if status != 200:
            self._refusal = body[:200].decode("utf-8", "replace")
        if row is None:
            return
        columns = self.columns
        columns.status[row] = status
        if status != 200:
            return
        answer = orjson.loads(body)
        columns.ms[row] = round(ms, 3)
        columns.right[row] = int(answer["label"] == wanted)
        columns.by[row] = answer["served_by"]
        columns.degraded[row] = int(answer["degraded"] is not None)


def _photos(folder: Path) -> Photos:
    names = json.loads((folder / "labels.json").read_text())
    return [((folder / name).read_bytes(), label) for name, label in names]


def main() -> None:
    """Run the plans of standard input, all of them with the first one's photos."""
    photos: Photos = []
    for line in sys.stdin:
        plan = json.loads(line)
        photos = photos or _photos(Path(plan["images"]))
        client = _Client(plan, photos)
        gc.collect()
        gc.freeze()
        uvloop.run(client.run())
        print(json.dumps(vars(client.columns)), flush=True)


if __name__ == "__main__":
    main()
