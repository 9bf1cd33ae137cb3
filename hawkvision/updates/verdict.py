"""Is the new version worse? Bets on pairs of answers, good at any time that one looks (sans-I/O).

Each pair is one request that both versions answered. d is the new version's loss less the old
one's, in [-1, 1]; it is 0 where both say the same. A gambler who bets against "the new version is
no worse", E[d | past] <= 0, has the capital K = prod(1 + stake * d). While that is true, the chance
that K ever reaches 1/alpha is at most alpha (Ville), however often and whenever one looks. A second
gambler bets against "it is worse by epsilon or more", a third against "it is slower in at most half
of the pairs". Each spreads the capital over a few fixed stakes, so nothing is tuned to the data.

An answer that nobody could judge counts for the old version where a pass is decided, and not at all
where harm is: both bounds stay on the safe side.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS-B
2024, arXiv 2010.09686); Ville's inequality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from hawkvision.updates.release import Rollout

_STAKES = (0.05, 0.1, 0.2, 0.4, 0.9)
_Capital = tuple[float, ...]
_START: _Capital = (0.0,) * len(_STAKES)


class Verdict(StrEnum):
    """What the pairs say so far."""

    OPEN = "open"
    PASSES = "passes"
    WORSE = "worse"
    SLOWER = "slower"


@dataclass(frozen=True, slots=True)
class Pair:
    """Losses in [0, 1] of both answers to one request, None where nobody could judge.

    `new_ms` and `old_ms` are what computing took, 0 where that is not known.
    """

    old: float | None
    new: float | None
    old_ms: float = 0.0
    new_ms: float = 0.0

    @classmethod
    def same(cls, old_ms: float = 0.0, new_ms: float = 0.0) -> Pair:
        """Both gave the same answer: whatever is right, they err alike."""
        return cls(0.0, 0.0, old_ms, new_ms)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Immutable; `see` gives the next state. `agents` share the risk of a false alarm."""

    rollout: Rollout
    agents: int = 1
    pairs: int = 0
    worse: int = 0
    better: int = 0
    unjudged: int = 0
    _harm: _Capital = _START
    _safe: _Capital = _START
    _slow: _Capital = _START
    _most_harm: float = 0.0
    _most_safe: float = 0.0
    _most_slow: float = 0.0

    def see(self, pair: Pair) -> Evidence:
        """One more pair. Raises ValueError for losses outside [0, 1]."""
        epsilon = self.rollout.epsilon
        if pair.old is None or pair.new is None:
            judged, d_harm, d_safe = False, 0.0, 1.0
        else:
            if not (0 <= pair.old <= 1 and 0 <= pair.new <= 1):
                raise ValueError(f"losses {pair.old!r:.20} and {pair.new!r:.20} not in [0, 1]")
            judged, d_harm = True, pair.new - pair.old
            d_safe = d_harm
        harm, safe = _bet(self._harm, d_harm), _bet(self._safe, epsilon - d_safe)
        slow = self._slow
        if self.rollout.slower > 0 and pair.old_ms > 0 and pair.new_ms > 0:
            is_slow = pair.new_ms > self.rollout.slower * pair.old_ms
            slow = _bet(slow, 1.0 if is_slow else -1.0)
        return replace(
            self,
            pairs=self.pairs + 1,
            worse=self.worse + (judged and d_harm > 0),
            better=self.better + (judged and d_harm < 0),
            unjudged=self.unjudged + (not judged),
            _harm=harm,
            _safe=safe,
            _slow=slow,
            _most_harm=max(self._most_harm, _log_mean(harm)),
            _most_safe=max(self._most_safe, _log_mean(safe)),
            _most_slow=max(self._most_slow, _log_mean(slow)),
        )

    @property
    def p_worse(self) -> float:
        """P-value of "it is no worse", good at any time."""
        return min(1.0, math.exp(-self._most_harm))

    @property
    def p_unsafe(self) -> float:
        """P-value of "it errs more often by epsilon or more"."""
        return min(1.0, math.exp(-self._most_safe))

    @property
    def p_slower(self) -> float:
        """P-value of "it is too slow in at most half of the pairs"."""
        return min(1.0, math.exp(-self._most_slow))

    @property
    def verdict(self) -> Verdict:
        """Half of the fleet's alpha is for harm, half for slowness, each shared by all agents."""
        alarm = self.rollout.alpha / 2 / max(1, self.agents)
        if self.p_worse <= alarm:
            return Verdict.WORSE
        if self.p_slower <= alarm:
            return Verdict.SLOWER
        if self.pairs >= self.rollout.least_pairs and self.p_unsafe <= self.rollout.alpha:
            return Verdict.PASSES
        return Verdict.OPEN

    def __str__(self) -> str:
        """One line for the log."""
        return (
            f"{self.pairs} pairs, the new version worse in {self.worse}, better in {self.better}, "
            f"{self.unjudged} not judged; p(no worse) {self.p_worse:.2g}, "
            f"p(worse by {self.rollout.epsilon:g}) {self.p_unsafe:.2g}, "
            f"p(no slower) {self.p_slower:.2g}"
        )


def _bet(capital: _Capital, gain: float) -> _Capital:
    """Log capitals after one more bet; `gain` > -1/0.9."""
    return tuple(
        one + math.log1p(stake * gain) for one, stake in zip(capital, _STAKES, strict=True)
    )


def _log_mean(capital: _Capital) -> float:
    """Log of the mean capital."""
    top = max(capital)
    return top + math.log(sum(math.exp(one - top) for one in capital) / len(capital))
