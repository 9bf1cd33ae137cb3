"""A UDP relay on this machine with an emulated link in it; needs no rights.

TCP cannot be measured this way (a proxy ends the connection and hides the loss from it): use
`loadtest.link.namespaces` for that.
"""

from __future__ import annotations

import heapq
import itertools
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
