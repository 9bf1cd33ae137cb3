"""What may be asked a second time: a share of what is asked, so that retries make no storm.

The idea is Finagle's (https://finagle.github.io/blog/2016/02/08/retry-budgets/).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Each call allows `share` of a second one, each second `per_s`; `most` are saved up."""

    share: float = 0.1
    per_s: float = 1.0
    most: float = 20.0


class RetryBudget:
    """A token bucket, full at first: of n calls in t s at most most + share n + per_s t retries."""

    def __init__(self, settings: BudgetSettings | None = None) -> None:
        self._settings = settings or BudgetSettings()
        self._tokens = self._settings.most
        self._filled_at: float | None = None

    def offered(self, now: float) -> None:
        """A call comes, at `now` (seconds, monotonic)."""
        self._fill(now, self._settings.share)

    def take(self, now: float) -> bool:
        """Whether a second call may be made; it is spent then."""
        self._fill(now, 0.0)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def give_back(self) -> None:
        """What was taken was not used."""
        self._tokens = min(self._settings.most, self._tokens + 1.0)

    def _fill(self, now: float, more: float) -> None:
        waited_s = 0.0 if self._filled_at is None else max(0.0, now - self._filled_at)
        self._filled_at = now
        more += self._settings.per_s * waited_s
        self._tokens = min(self._settings.most, self._tokens + more)
