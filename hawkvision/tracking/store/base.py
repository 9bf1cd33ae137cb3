"""What a store offers. Implementations: `memory.MemoryStore`, `redis.RedisStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from hawkvision.tracking.records import (
    AgentInfo,
    AppTarget,
    Batch,
    Change,
    CountKey,
    Fresh,
    ThresholdState,
)


class Store(Protocol):
    """Shared state of a fleet. `tests/tracking/store/test_store.py` holds a store to all of this.

    What a new store must do:

    - Every call raises StoreUnavailable where the store is away or refuses, and nothing else but
      what is said below. It takes a time that is bounded, lets a cancellation through at once, and
      may be called by several tasks of one event loop at a time.
    - A call that failed may have happened: callers try again, so each must be safe to repeat.
    - Time is the store's own clock, the same for all who share it. No time of an agent is stored
      but for show; ages and times to live are lengths, in seconds.
    - Memory is bounded: buckets end (`buckets`), batch ids are remembered for a day, and of each
      task at most `bound.MOST_KEYS` keys are counted apart (`bound`), the rest under
      `records.other`.
    - No secret of its address shows in a message, a log line or a metric.
    """

    async def add(self, batch: Batch, age_s: float = 0.0) -> None:
        """Add a batch that was counted `age_s` ago to the buckets of that time (`buckets.places`),
        and to what is fresh; the same `batch_id` again adds nothing."""
        ...

    async def counts(
        self, task: str, *, window_s: float, old_s: float = 0.0
    ) -> dict[CountKey, dict[str, float]]:
        """Sums over a window that ends now, to the width of a bucket.

        With `old_s`, what another reader found so long ago at most will do.
        """
        ...

    async def since(self, task: str, cursor: str | None) -> Fresh:
        """What was counted, of whatever age, since a reader was given `cursor`; None for the first.

        A reader that goes on with the cursors that it is given sees every batch once. The same
        cursor again gives the same and what came meanwhile. The cost follows what is new, not what
        was ever counted. Where the store began anew, or has forgotten the cursor: a baseline.
        """
        ...

    async def put_app(self, target: AppTarget) -> None:
        """Store an app's target. Raises LimitReached where `bound.MOST_APPS` others are stored."""
        ...

    async def delete_app(self, app: str) -> bool:
        """Forget an app; whether it was known."""
        ...

    async def apps(self) -> list[AppTarget]:
        """All apps, sorted by name."""
        ...

    async def put_thresholds(self, task: str, states: Sequence[ThresholdState], fence: int) -> None:
        """Store thresholds under a lead. Raises StaleFence if a newer lead was granted."""
        ...

    async def thresholds(self, task: str) -> dict[str, ThresholdState]:
        """Thresholds in force by target."""
        ...

    def changes(self) -> AsyncIterator[Change]:
        """Yields when thresholds of a task or apps changed, as it happens.

        A store may tell the new thresholds too, so that nobody needs to ask.

        Raises StoreUnavailable when the connection is lost, and may miss what happens until it is
        called again.
        """
        ...

    async def take_lead(self, task: str, agent_id: str, ttl_s: float) -> int | None:
        """Take or renew the lead of a task: a token that grows with every new leader, or None."""
        ...

    async def heartbeat(self, info: AgentInfo, ttl_s: float) -> None:
        """Say that an agent is alive."""
        ...

    async def agents(self) -> list[AgentInfo]:
        """Agents whose heartbeat has not expired, sorted by id."""
        ...

    async def claim(self, task: str, request_id: str, ttl_s: float) -> bool:
        """True the first time that a request is claimed, for feedback that counts once."""
        ...

    async def put_note(self, subject: str, agent_id: str, text: str) -> None:
        """Keep what an agent has to say of a subject, in place of what it said before.

        Kept for `bound.NOTED_S` after the subject's last note; those of `bound.MOST_NOTES` agents,
        others are passed over. `text` has 1000 characters at most.
        """
        ...

    async def notes(self, subject: str) -> dict[str, str]:
        """What agents said of a subject, by agent."""
        ...

    async def secret(self, proposed: bytes) -> bytes:
        """The fleet's key for request ids; `proposed` if there was none."""
        ...

    async def close(self) -> None:
        """Give connections back, within a second or two, whatever the store does. Never raises."""
        ...
