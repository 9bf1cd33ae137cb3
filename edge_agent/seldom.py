"""What a client may cause with every request is written to the log only now and then."""

from __future__ import annotations

import time

_MOST = 256


class Seldom:
    """Whether something is due to be said: each kind once in `every_s` seconds."""

    def __init__(self, every_s: float = 60.0) -> None:
        self._every_s = every_s
        self._said: dict[tuple[str, str, int], float] = {}

    def due(self, where: str, error: BaseException, now: float | None = None) -> bool:
        """Whether an error is to be logged; of one kind are those that the same line raised."""
        trace, line = error.__traceback__, 0
        while trace is not None:
            line, trace = trace.tb_lineno, trace.tb_next
        kind, now = (where, type(error).__name__, line), time.monotonic() if now is None else now
        if now - self._said.get(kind, -self._every_s) < self._every_s:
            return False
        self._said.pop(kind, None)
        self._said[kind] = now
        if len(self._said) > _MOST:
            del self._said[next(iter(self._said))]
        return True
