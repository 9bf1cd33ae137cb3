"""When a process that ended by itself is started again, and how its end is told.

Sans-I/O: time comes as `now`.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""The first end may be chance, and costs next to no time; whoever goes on failing waits."""

STABLE_S = 30.0
"""Who ran for so long has not failed at starting, seconds."""


class Restarts:
    """Of one process: growing pauses, which begin anew after a run of `stable_s` seconds."""

    def __init__(self, pauses_s: Sequence[float] = PAUSES_S, stable_s: float = STABLE_S) -> None:
        self._pauses_s = tuple(pauses_s)
        self._stable_s = stable_s
        self._failures = 0
        self._started = 0.0

    def started(self, now: float) -> None:
        """It was started."""
        self._started = now

    def ended(self, now: float) -> float:
        """It ended; the pause before it starts again, seconds."""
        if now - self._started > self._stable_s:
            self._failures = 0
        pause_s = self._pauses_s[min(self._failures, len(self._pauses_s) - 1)]
        self._failures += 1
        return pause_s


def said_of_exit(code: int) -> str:
    """In words, an exit code as subprocess gives it: `status 1`, or `signal 9 (SIGKILL)`."""
    if code >= 0:
        return f"status {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
