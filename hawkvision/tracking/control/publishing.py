"""When thresholds that have moved are published: every agent of a fleet hears of each publication.

Small moves wait for one another. What keeps answers safe does not wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hawkvision.tracking.control.steering import FROZEN
from hawkvision.tracking.counts import BINS, bin_width, place_of
from hawkvision.tracking.records import ThresholdState

GAP_S = 1.0
"""Between two publications of what can wait."""

URGENT_GAP_S = 0.2
"""Between any two."""

RISE = 0.25
"""A threshold that has risen so far above what is published, in log-odds, does not wait."""


@dataclass
class Publishing:
    """One leader's, of one task. Times in seconds, of any clock; one that is set back hurts not."""

    _held: dict[str, ThresholdState] = field(init=False, default_factory=dict)
    _last_s: float | None = field(init=False, default=None)

    def over(self, published: Mapping[str, ThresholdState]) -> Mapping[str, ThresholdState]:
        """What is published, and above it what waits: from there steering goes on."""
        return {**published, **self._held} if self._held else published

    def due(
        self,
        moved: Iterable[ThresholdState],
        published: Mapping[str, ThresholdState],
        now: float,
    ) -> list[ThresholdState]:
        """What is to be published now; it waits on until it is said to be `done`."""
        self._held |= {state.target: state for state in moved}
        if not self._held:
            return []
        gap_s = URGENT_GAP_S if self.urgent(published) else GAP_S
        if self._last_s is not None and 0 <= now - self._last_s < gap_s:
            return []
        return list(self._held.values())

    def urgent(self, published: Mapping[str, ThresholdState]) -> bool:
        """Whether something waits that must not."""
        return any(_urgent(one, published.get(name)) for name, one in self._held.items())

    def done(self, now: float) -> None:
        """All that was due is published."""
        self._held.clear()
        self._last_s = now

    def forget(self) -> None:
        """Somebody else leads."""
        self._held.clear()


def _urgent(state: ThresholdState, before: ThresholdState | None) -> bool:
    if state.target.startswith(FROZEN):
        return before is None or state.state != before.state
    if before is None:
        return False  # until then it is answered by what is certified
    risen = _place(state.threshold) - _place(before.threshold)
    return risen * bin_width() >= RISE


def _place(threshold: float) -> float:
    return float(BINS) if threshold > 1 else place_of(threshold)
