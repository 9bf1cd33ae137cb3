"""A circuit breaker: stop asking a gateway that fails, and ask again soon. Time comes in as `now`.

Closed until `failures` calls in a row fail; then open for `pause_s`; then one call is let
through as a probe, whose outcome closes the breaker or opens it again.
"""

from __future__ import annotations

from enum import Enum


class BreakerState(Enum):
    """Closed lets every call pass, open none, half-open one."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Sans-I/O; call `allow` before a call and `succeeded`, `failed` or `abandoned` after it."""

    def __init__(self, failures: int = 5, pause_s: float = 1.0) -> None:
        self._failures = failures
        self._pause_s = pause_s
        self._in_a_row = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state after the last event."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    def allow(self, now: float) -> bool:
        """Whether a call may be made at `now` (seconds, monotonic)."""
        if self._opened_at is None:
            return True
        if self._probing or now - self._opened_at < self._pause_s:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """A call was answered."""
        self._in_a_row = 0
        self._opened_at = None
        self._probing = False

    def failed(self, now: float) -> None:
        """A call was not answered."""
        self._in_a_row += 1
        if self._probing or self._in_a_row >= self._failures:
            self._opened_at = now
            self._probing = False

    def abandoned(self) -> None:
        """A call ended without saying anything of the gateway (its caller went away)."""
        self._probing = False
