"""Relays on this machine with an emulated link in them; they need no rights.

UDP meets all of the link. TCP meets its rate and delay only, because a relay ends the connection
and hides the loss from it: `loadtest.link.namespaces` is for that.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import selectors
import socket
import threading
import time
from typing import Any

from loadtest.link.model import LinkSettings, both_ways

_BUFFER = 4 * 1024 * 1024
_LONGEST_WAIT_S = 0.05


class UdpRelay:
    """Forwards datagrams between whoever sends to `port` and `upstream`; a context manager."""

    def __init__(self, upstream: tuple[str, int], settings: LinkSettings, seed: int = 1) -> None:
        self.up, self.down = both_ways(settings, seed)
        self._front = _udp()
        self._front.bind(("127.0.0.1", 0))
        self._back = _udp()
        self._back.connect(upstream)
        self.port = int(self._front.getsockname()[1])
        self._client: Any = None
        self._queue: list[tuple[float, int, bool, bytes]] = []
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> UdpRelay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._front.close()
        self._back.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._front, selectors.EVENT_READ)
            selector.register(self._back, selectors.EVENT_READ)
            while not self._stop.is_set():
                now = time.monotonic()
                wait = self._queue[0][0] - now if self._queue else _LONGEST_WAIT_S
                for key, _ in selector.select(max(0.0, min(wait, _LONGEST_WAIT_S))):
                    self._take(key.fileobj is self._front)
                self._deliver(time.monotonic())

    def _take(self, upward: bool) -> None:
        source = self._front if upward else self._back
        while True:
            try:
                data, address = source.recvfrom(65_536)
            except BlockingIOError:
                return
            except OSError:
                return  # the other side has closed its port
            if upward:
                self._client = address
            now = time.monotonic()
            arrives = (self.up if upward else self.down).send(len(data) + 28, now)
            if arrives is not None:
                heapq.heappush(self._queue, (arrives, next(self._numbers), upward, data))

    def _deliver(self, now: float) -> None:
        while self._queue and self._queue[0][0] <= now:
            _, _, upward, data = heapq.heappop(self._queue)
            try:
                if upward:
                    self._back.send(data)
                elif self._client is not None:
                    self._front.sendto(data, self._client)
            except OSError:
                continue


def _udp() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return opened


class Carried:
    """Bytes that went one way, in how many pieces, and how much later than due all of them, s."""

    def __init__(self) -> None:
        self.size = 0
        self.pieces = 0
        self.late_s = 0.0


Waiting = queue.SimpleQueue[tuple[float, bytes]]
"""What is under way one way of a connection: when it arrives, and the bytes; none ends it."""


class TcpRelay:
    """Forwards TCP connections to `upstream` at the link's rate and delay; a context manager.

    It ends each connection and opens another, so the kernels on both sides see no loss: only rate
    and delay are emulated.
    """

    def __init__(self, upstream: tuple[str, int], settings: LinkSettings) -> None:
        self._upstream = upstream
        self._settings = settings
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._up, self._down = Carried(), Carried()
        self._counting = threading.Lock()
        self._clear = threading.Event()
        self._clear.set()

    def carried(self) -> int:
        """Bytes that went either way."""
        return self._up.size + self._down.size

    def carried_up(self) -> int:
        """Bytes that went to `upstream`."""
        return self._up.size

    def late(self) -> tuple[int, float]:
        """How many pieces there were, and how much later than due they went on together, s."""
        return self._up.pieces + self._down.pieces, self._up.late_s + self._down.late_s

    def cut(self, dark: bool) -> None:
        """Let nothing through, or everything again: TCP then goes on where it stood."""
        if dark:
            self._clear.clear()
        else:
            self._clear.set()

    def __enter__(self) -> TcpRelay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # else a waiting accept takes one more
        self._clear.set()
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._upstream, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [near, far]
            for source, target, carried in ((near, far, self._up), (far, near, self._down)):
                waiting: Waiting = queue.SimpleQueue()
                reading = threading.Thread(target=self._read, args=(source, waiting), daemon=True)
                writing = (target, waiting, carried)
                reading.start()
                threading.Thread(target=self._write, args=writing, daemon=True).start()

    def _read(self, source: socket.socket, waiting: Waiting) -> None:
        settings = self._settings
        free_s = 0.0
        while True:
            try:
                data = source.recv(1400)
            except OSError:
                data = b""
            now = time.monotonic()
            free_s = max(now, free_s) + len(data) * 8 / settings.rate_bps
            waiting.put((free_s + settings.delay_s, data))
            if not data:
                return

    def _write(self, target: socket.socket, waiting: Waiting, carried: Carried) -> None:
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            late_s = time.monotonic() - due
            self._clear.wait()
            with self._counting:
                carried.size += len(data)
                carried.pieces += 1
                carried.late_s += late_s
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return
