"""The RTP circuit breaker (RFC 8083).

The breaker ends a stream that a TCP connection on the same path would have left ten times behind.
Random loss on a radio link opens it only where the sender also sends a lot.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

_INTERVALS = 3
_TIMES_TCP = 10
_LEAST_RTT_S = 0.01


def tcp_throughput(packet_bytes: float, rtt_s: float, loss: float) -> float:
    """Bytes per second of a TCP connection (RFC 5348, section 3.1; b = 1, t_RTO = 4 R)."""
    if loss <= 0:
        return math.inf
    rtt = max(rtt_s, _LEAST_RTT_S)
    fast = rtt * math.sqrt(2 * loss / 3)
    timeouts = 4 * rtt * (3 * math.sqrt(3 * loss / 8)) * loss * (1 + 32 * loss * loss)
    return packet_bytes / (fast + timeouts)


@dataclass(frozen=True, slots=True)
class Interval:
    """One reporting interval: fraction lost, bytes per second, packet size, round trip."""

    loss: float
    rate: float
    packet_bytes: float
    rtt_s: float
    advanced: bool


class RtpCircuitBreaker:
    """Opens by media timeout, RTCP timeout or congestion (RFC 8083, sections 4.1 to 4.3).

    `reason` is None while it is closed.
    """

    def __init__(self, report_interval_s: float) -> None:
        self.reason: str | None = None
        self._every_s = report_interval_s
        self._recent: deque[Interval] = deque(maxlen=_INTERVALS)
        self._last_s: float | None = None

    def report(self, interval: Interval, now: float) -> None:
        """A reception report arrived."""
        self._last_s = now
        self._recent.append(interval)
        if len(self._recent) < _INTERVALS:
            return
        if not any(one.advanced for one in self._recent) and any(one.rate for one in self._recent):
            self.reason = "media_timeout"
            return
        if all(self.exceeded(one) for one in self._recent):
            self.reason = "congestion"

    @staticmethod
    def exceeded(one: Interval) -> bool:
        """Whether an interval alone was over ten times what TCP would have sent."""
        return one.rate > _TIMES_TCP * tcp_throughput(one.packet_bytes, one.rtt_s, one.loss)

    def check(self, now: float, *, sending: bool) -> str | None:
        """Open where packets are sent and no report came for three intervals (at least 5 s)."""
        if not sending or self._last_s is None:
            self._last_s = now
        elif now - self._last_s > max(5.0, _INTERVALS * self._every_s):
            self.reason = self.reason or "rtcp_timeout"
        return self.reason
