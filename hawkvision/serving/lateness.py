"""How much earlier than its deadline work has to be expected, so that it hardly ever comes late.

Sans-I/O. Estimates of a wait are means, and do not see what the client sees: the way there and
back. So a margin is learned from how many came late: each late one widens it by a step, each that
was in time narrows it by as much less as late ones shall be rare (a stochastic approximation of a
quantile, Robbins and Monro, 1951).
"""

from __future__ import annotations

_LATE = 1 / 400
"""The share of those let in that may come late."""

_MOST = 0.5
"""Of the time allowed: a queue that holds half of it keeps threads as busy."""

_REPLY = 0.02
"""Of the time allowed: an answer that is ready this shortly before is on its way then."""

_GAVE_UP = 0.2
"""Who cancels with so little left had no more: the way here took it."""


class Lateness:
    """`margin_s` of time allowed; steps are what one item takes, so that a queue shrinks by one."""

    def __init__(self) -> None:
        self._margin_s = 0.0

    def margin_s(self, allowed_s: float) -> float:
        """To be taken off the time allowed, seconds."""
        return min(self._margin_s, _MOST * max(0.0, allowed_s))

    def learn(self, late: bool, allowed_s: float, step_s: float) -> None:
        """One that was let in and allowed so much came late, or in time; an item takes `step_s`."""
        if not late:
            self._margin_s = max(0.0, self._margin_s - step_s * _LATE / (1 - _LATE))
        elif self._margin_s < _MOST * allowed_s:
            self._margin_s = min(self._margin_s + step_s, _MOST * allowed_s)


def came_late(left_s: float, allowed_s: float, cancelled: bool) -> bool:
    """Whether an answer is late, that was ready `left_s` before its deadline of `allowed_s`."""
    return left_s <= (_GAVE_UP if cancelled else _REPLY) * allowed_s
