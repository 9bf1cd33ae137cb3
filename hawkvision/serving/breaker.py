"""A circuit breaker: stop asking an upstream that fails, and ask again soon. Time comes as `now`.

Closed until `failures` calls in a row fail; then open for `pause_s`; then one call is let
through as a probe, whose outcome closes the breaker or opens it again. There is one for each
upstream and model, and only what the upstream did counts: a refused request, or a deadline that
was too short for anybody, says nothing of it.
"""

from __future__ import annotations

from enum import Enum

_FAIR_S = 0.25
"""A call that had so long had a fair chance, whatever the upstream usually takes."""

_TIMES_USUAL = 4.0
_LEARN = 0.1


class BreakerState(Enum):
    """Closed lets every call pass, open none, half-open one."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class UpstreamBreaker:
    """Sans-I/O; call `allow` before a call and one of the others after it."""

    def __init__(self, failures: int = 5, pause_s: float = 1.0) -> None:
        self._failures = failures
        self._pause_s = pause_s
        self._in_a_row = 0
        self._opened_at: float | None = None
        self._probing = False
        self._usual_s: float | None = None

    @property
    def state(self) -> BreakerState:
        """The state after the last event."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    @property
    def fair_s(self) -> float:
        """How long a call must have had for its timeout to count, seconds."""
        return max(_FAIR_S, _TIMES_USUAL * (self._usual_s or 0.0))

    def allow(self, now: float) -> bool:
        """Whether a call may be made at `now` (seconds, monotonic)."""
        if self._opened_at is None:
            return True
        if self._probing or now - self._opened_at < self._pause_s:
            return False
        self._probing = True
        return True

    def succeeded(self, took_s: float) -> None:
        """A call was answered after `took_s` seconds."""
        self._in_a_row = 0
        self._opened_at = None
        self._probing = False
        usual = took_s if self._usual_s is None else self._usual_s
        self._usual_s = usual + _LEARN * (took_s - usual)

    def failed(self, now: float) -> None:
        """The upstream did not answer, or not what it should."""
        self._in_a_row += 1
        if self._probing or self._in_a_row >= self._failures:
            self._opened_at = now
            self._probing = False

    def timed_out(self, allowed_s: float, now: float) -> None:
        """No answer came within `allowed_s`: a failure if that was a fair time."""
        if allowed_s >= self.fair_s:
            self.failed(now)
        else:
            self.no_verdict()

    def no_verdict(self) -> None:
        """A call said nothing of the upstream: its caller went away, or was at fault."""
        self._probing = False
