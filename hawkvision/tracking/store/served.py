"""A store in the memory of one process, for the processes that belong to it.

`StoreService` answers calls for a store; `ServedStore` is that store in another process. Both ends
are the same program, of one start.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any, cast

from hawkvision.errors import HawkVisionError, LimitReached, StaleFence, StoreUnavailable
from hawkvision.serving.calls import Calls, CallsFailed, Handler
from hawkvision.tracking.records import (
    AgentInfo,
    AppTarget,
    Batch,
    Change,
    CountKey,
    Fresh,
    ThresholdState,
    agent_info,
    app_target,
    merge,
    threshold_state,
)
from hawkvision.tracking.store.base import Store

_PREFIX = "store."
_MOST_READERS = 64


class StoreService:
    """Handlers for a `CallServer`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers: dict[str, AsyncIterator[Change]] = {}

    def handlers(self) -> Mapping[str, Handler]:
        """By name."""
        calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "add": self._add,
            "counts": self._counts,
            "since": self._since,
            "put_app": self._put_app,
            "delete_app": self._store.delete_app,
            "apps": self._apps,
            "put_thresholds": self._put_thresholds,
            "thresholds": self._thresholds,
            "change": self._change,
            "end": self._end,
            "take_lead": self._store.take_lead,
            "heartbeat": self._heartbeat,
            "agents": self._agents,
            "claim": self._store.claim,
            "put_note": self._store.put_note,
            "notes": self._store.notes,
            "secret": self._secret,
        }
        return {_PREFIX + name: _guarded(call) for name, call in calls.items()}

    async def _add(self, batch_id: str, time_s: float, rows: Any, age_s: float) -> None:
        await self._store.add(Batch(batch_id, time_s, _counts(rows)), age_s)

    async def _counts(self, task: str, window_s: float, old_s: float) -> Any:
        return _rows(await self._store.counts(task, window_s=window_s, old_s=old_s))

    async def _since(self, task: str, cursor: str | None) -> Any:
        fresh = await self._store.since(task, cursor)
        return [_rows(fresh.counts), fresh.cursor, fresh.baseline]

    async def _put_app(self, target: dict[str, Any]) -> None:
        await self._store.put_app(app_target(target))

    async def _apps(self) -> Any:
        return [asdict(one) for one in await self._store.apps()]

    async def _put_thresholds(self, task: str, states: list[dict[str, Any]], fence: int) -> None:
        await self._store.put_thresholds(task, [threshold_state(one) for one in states], fence)

    async def _thresholds(self, task: str) -> Any:
        return [asdict(one) for one in (await self._store.thresholds(task)).values()]

    async def _change(self, reader: str) -> Any:
        """The next change for a reader; None where it is not known any more."""
        changes = self._readers.get(reader)
        if changes is None:
            changes = self._readers[reader] = self._store.changes()
            if len(self._readers) > _MOST_READERS:
                await self._end(next(iter(self._readers)))
        change = await anext(changes, None)
        return None if change is None else asdict(change)

    async def _end(self, reader: str) -> None:
        """A reader wants no more, or has died and left."""
        changes = self._readers.pop(reader, None)
        if changes is not None:
            with contextlib.suppress(RuntimeError):  # it is being read, by a call that is left
                await cast("Any", changes).aclose()

    async def _heartbeat(self, info: dict[str, Any], ttl_s: float) -> None:
        await self._store.heartbeat(agent_info(info), ttl_s)

    async def _agents(self) -> Any:
        return [asdict(one) for one in await self._store.agents()]

    async def _secret(self, proposed: str) -> str:
        return (await self._store.secret(bytes.fromhex(proposed))).hex()


def _guarded(call: Callable[..., Awaitable[Any]]) -> Handler:
    """What the store refuses is an answer too."""

    async def answer(arguments: Any) -> Any:
        try:
            return {"result": await call(*arguments)}
        except HawkVisionError as error:
            refused: dict[str, Any] = {
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
            }
            if isinstance(error, LimitReached):
                refused["retry_after_s"] = error.retry_after_s
            return {"refused": refused}

    return answer


class ServedStore:
    """See `Store`."""

    def __init__(self, caller: Calls) -> None:
        self._caller = caller

    async def _ask(self, name: str, *arguments: Any, patient: bool = False) -> Any:
        try:
            reply = await self._caller.call(_PREFIX + name, list(arguments), patient=patient)
        except CallsFailed as error:
            raise StoreUnavailable(f"the store is away: {error}") from error
        refused = reply.get("refused")
        if refused is None:
            return reply["result"]
        message, hint = refused["message"], refused["hint"]
        if refused["code"] == LimitReached.code:
            raise LimitReached(message, retry_after_s=refused["retry_after_s"], hint=hint)
        if refused["code"] == StaleFence.code:
            raise StaleFence(message, hint=hint)
        raise StoreUnavailable(message, hint=hint)

    async def add(self, batch: Batch, age_s: float = 0.0) -> None:
        """See `Store.add`."""
        age_s = age_s if isfinite(age_s) else -1.0  # as an age that no clock can have
        await self._ask("add", batch.batch_id, batch.time_s, _rows(batch.counts), age_s)

    async def counts(
        self, task: str, *, window_s: float, old_s: float = 0.0
    ) -> dict[CountKey, dict[str, float]]:
        """See `Store.counts`."""
        return _counts(await self._ask("counts", task, window_s, old_s))

    async def since(self, task: str, cursor: str | None) -> Fresh:
        """See `Store.since`."""
        rows, after, baseline = await self._ask("since", task, cursor)
        return Fresh(_counts(rows), after, baseline)

    async def put_app(self, target: AppTarget) -> None:
        """See `Store.put_app`."""
        await self._ask("put_app", asdict(target))

    async def delete_app(self, app: str) -> bool:
        """See `Store.delete_app`."""
        return bool(await self._ask("delete_app", app))

    async def apps(self) -> list[AppTarget]:
        """See `Store.apps`."""
        return [app_target(one) for one in await self._ask("apps")]

    async def put_thresholds(self, task: str, states: Sequence[ThresholdState], fence: int) -> None:
        """See `Store.put_thresholds`."""
        await self._ask("put_thresholds", task, [asdict(one) for one in states], fence)

    async def thresholds(self, task: str) -> dict[str, ThresholdState]:
        """See `Store.thresholds`."""
        states = [threshold_state(one) for one in await self._ask("thresholds", task)]
        return {state.target: state for state in states}

    async def changes(self) -> AsyncIterator[Change]:
        """See `Store.changes`."""
        reader = secrets.token_hex(8)
        try:
            while (change := await self._ask("change", reader, patient=True)) is not None:
                yield Change(change["what"], tuple(map(threshold_state, change["states"])))
        finally:
            with contextlib.suppress(StoreUnavailable):
                await self._ask("end", reader)
        raise StoreUnavailable("the store tells changes no more")

    async def take_lead(self, task: str, agent_id: str, ttl_s: float) -> int | None:
        """See `Store.take_lead`."""
        fence = await self._ask("take_lead", task, agent_id, ttl_s)
        return None if fence is None else int(fence)

    async def heartbeat(self, info: AgentInfo, ttl_s: float) -> None:
        """See `Store.heartbeat`."""
        await self._ask("heartbeat", asdict(info), ttl_s)

    async def agents(self) -> list[AgentInfo]:
        """See `Store.agents`."""
        return [agent_info(one) for one in await self._ask("agents")]

    async def claim(self, task: str, request_id: str, ttl_s: float) -> bool:
        """See `Store.claim`."""
        return bool(await self._ask("claim", task, request_id, ttl_s))

    async def put_note(self, subject: str, agent_id: str, text: str) -> None:
        """See `Store.put_note`."""
        await self._ask("put_note", subject, agent_id, text)

    async def notes(self, subject: str) -> dict[str, str]:
        """See `Store.notes`."""
        return dict(await self._ask("notes", subject))

    async def secret(self, proposed: bytes) -> bytes:
        """See `Store.secret`."""
        return bytes.fromhex(await self._ask("secret", proposed.hex()))

    async def close(self) -> None:
        """See `Store.close`; the caller is closed by whoever made it."""


def _rows(counts: Mapping[CountKey, Mapping[str, float]]) -> list[Any]:
    """As JSON can say it, which has no infinite numbers; none is counted either."""
    return [
        [
            key.task,
            key.app,
            key.target,
            {name: amount for name, amount in measures.items() if isfinite(amount)},
        ]
        for key, measures in counts.items()
    ]


def _counts(rows: Any) -> dict[CountKey, dict[str, float]]:
    found: dict[CountKey, dict[str, float]] = {}
    for task, app, target, measures in rows:
        merge(found, {CountKey(task, app, target): measures})
    return found
