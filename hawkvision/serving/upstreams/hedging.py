"""When a call that is not answered yet is made a second time elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from hawkvision.serving.upstreams.latency import LatencyTracker


@dataclass(frozen=True, slots=True)
class Hedging:
    """After a fixed time, after the time within which a share of the calls is answered, or, with
    neither, only once an answer is so late that the upstream may hang. Both: whatever is sooner.
    """

    after_s: float | None = None
    quantile: float | None = None

    def patience_s(self, latency: LatencyTracker, now: float) -> float:
        """How long to wait for the first call before a second one begins, seconds."""
        waits = [latency.fair_s]
        if self.after_s is not None:
            waits.append(self.after_s)
        if self.quantile is not None:
            known = latency.quantile_s(self.quantile, now)
            if known is not None:
                waits.append(known)
        return min(waits)
