"""What a store offers. Implementations: `memory.MemoryStore`, `redis_store.RedisStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from hawkvision.tracking.records import (
    AgentInfo,
    AppTarget,
    Batch,
    CountKey,
    ThresholdState,
)


class Store(Protocol):
    """Shared state of a fleet. Every call raises StoreUnavailable where the store is away."""

    async def add(self, batch: Batch, now: float) -> None:
        """Add a batch's counts to the buckets of its time; the same batch again adds nothing."""
        ...

    async def counts(
        self, task: str, *, window_s: float, now: float
    ) -> dict[CountKey, dict[str, float]]:
        """Sums over a window that ends now, to the width of a bucket."""
        ...

    async def put_app(self, target: AppTarget) -> None:
        """Store an app's target."""
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

    def changes(self) -> AsyncIterator[str]:
        """Yields a task's name or `apps` when thresholds or apps changed, as it happens."""
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

    async def secret(self, proposed: bytes) -> bytes:
        """The fleet's key for request ids; `proposed` if there was none."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
