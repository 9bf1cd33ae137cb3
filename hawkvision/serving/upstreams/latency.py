"""How long an upstream takes for one model, and whether a call that is due soon is worth sending.

A window of the last calls' times. One that was given up is known to have taken longer than it was
allowed: it counts as twice that, so that an upstream which answers nobody in time is soon known to
be slow, whatever it was before, and callers with more time find out how slow.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_FAIR_S = 0.25
"""A call that had so long had a fair chance, whatever the upstream usually takes."""

_TIMES_USUAL = 4.0
_LEARN = 0.1
_IN_A_ROW = 3
"""So many given up in a row, and what was answered before them no longer counts."""


@dataclass(frozen=True, slots=True)
class LatencySettings:
    """`most` calls of the last `window_s` are known; a call is worth sending if the share
    `quantile` of them was answered in the time that it has. With fewer than `least` known, all are.

    Of those that are not, one in `explore_s` is sent all the same, for the estimate to heal.
    """

    quantile: float = 0.25
    least: int = 3
    most: int = 16
    window_s: float = 30.0
    explore_s: float = 0.5


class LatencyTracker:
    """Sans-I/O; times in seconds."""

    def __init__(self, settings: LatencySettings | None = None) -> None:
        self._settings = settings or LatencySettings()
        self._known: deque[tuple[float, float, bool]] = deque(maxlen=self._settings.most)
        self._sorted: list[float] = []
        self._usual_s: float | None = None
        self._late_in_a_row = 0
        self._explore_at = 0.0

    @property
    def fair_s(self) -> float:
        """How long a call must have had for its silence to speak against the upstream."""
        return max(_FAIR_S, _TIMES_USUAL * (self._usual_s or 0.0))

    def quantile_s(self, share: float, now: float) -> float | None:
        """Within which time `share` of the calls were answered; None while too little is known."""
        self._forget_old(now)
        if len(self._sorted) < self._settings.least:
            return None
        return self._sorted[min(len(self._sorted) - 1, int(share * len(self._sorted)))]

    def needs_s(self, now: float) -> float:
        """Less time than this is not worth a call."""
        return self.quantile_s(self._settings.quantile, now) or 0.0

    def explores(self, now: float) -> bool:
        """Whether a call that has less may be sent all the same, and the next not soon."""
        if now < self._explore_at:
            return False
        self._explore_at = now + self._settings.explore_s
        return True

    def answered(self, took_s: float, now: float) -> None:
        """A call was answered after `took_s`."""
        usual = took_s if self._usual_s is None else self._usual_s
        self._usual_s = usual + _LEARN * (took_s - usual)
        self._late_in_a_row = 0
        if took_s < self.needs_s(now):
            self._explore_at = now  # it got quicker: look again at once
        self._add(took_s, now, late=False)

    def late(self, allowed_s: float, now: float) -> bool:
        """No answer came within `allowed_s`; whether that speaks against the upstream.

        What is less than others needed says nothing of it.
        """
        if allowed_s < self.needs_s(now):
            return False
        self._late_in_a_row += 1
        if self._late_in_a_row == _IN_A_ROW:
            kept = [one for one in self._known if one[2]]
            self._known.clear()
            self._known.extend(kept)
        self._add(2.0 * allowed_s, now, late=True)
        return allowed_s >= self.fair_s

    def forget(self) -> None:
        """The upstream came back, and may be another one."""
        self._known.clear()
        self._sorted = []
        self._late_in_a_row = 0

    def _add(self, seconds: float, now: float, *, late: bool) -> None:
        self._known.append((now, seconds, late))
        self._sorted = sorted(one[1] for one in self._known)

    def _forget_old(self, now: float) -> None:
        oldest = now - self._settings.window_s
        if self._known and self._known[0][0] < oldest:
            while self._known and self._known[0][0] < oldest:
                self._known.popleft()
            self._sorted = sorted(one[1] for one in self._known)
