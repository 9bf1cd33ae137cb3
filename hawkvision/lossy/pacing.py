"""How fast a frame's packets go out, and how many parity packets go with them."""

from __future__ import annotations

import math


class TokenBucket:
    """Spaces packets at a rate, in bursts of at most `burst_bytes`. Time in seconds."""

    def __init__(self, rate_bps: float, burst_bytes: float = 3600.0) -> None:
        self.rate_bps = rate_bps
        self._burst = burst_bytes
        self._tokens = burst_bytes
        self._at: float | None = None

    def delay(self, size: int, now: float) -> float:
        """Seconds to wait before `size` bytes may be sent; they count as sent then."""
        if self._at is not None:
            earned = (now - self._at) * self.rate_bps / 8
            self._tokens = min(self._burst, self._tokens + earned)
        self._at = now
        self._tokens -= size
        return max(0.0, -self._tokens * 8 / self.rate_bps)


def parity_packets(packets: int, loss: float) -> int:
    """Parity packets for a frame, from the measured packet loss; none below half a percent."""
    if loss < 0.005:
        return 0
    share = min(0.34, max(0.1, 3.0 * loss))
    return max(1, math.ceil(packets * share - 1e-9))
