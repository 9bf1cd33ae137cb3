"""How long `GET /v2/health/live` takes while something else loads the agent."""

from __future__ import annotations

import http.client
import threading
import time
from types import TracebackType
from typing import Self

import numpy as np

_EVERY_S = 0.01


class LiveProbe:
    """Asks every 10 ms on one connection of its own, as long as the context lasts."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=30)
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._stop = threading.Event()
        self.ms: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def _ask(self) -> None:
        while not self._stop.wait(_EVERY_S):
            start = time.perf_counter()
            self._connection.request("GET", "/v2/health/live")
            self._connection.getresponse().read()
            self.ms.append((time.perf_counter() - start) * 1e3)

    @property
    def p99_ms(self) -> float:
        """Of all answers so far, ms."""
        return float(np.percentile(self.ms, 99))
