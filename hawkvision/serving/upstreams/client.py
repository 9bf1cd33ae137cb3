"""One question to several upstreams of the Open Inference Protocol: a second one where it pays."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio

from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.serving.upstreams.balancer import (
    Balancer,
    BalancerSettings,
    Event,
    Fault,
    Lease,
    Unavailable,
)
from hawkvision.serving.upstreams.connection import GONE, Connection
from hawkvision.serving.upstreams.dialer import Dialer
from hawkvision.serving.upstreams.endpoint import Model
from hawkvision.serving.upstreams.groups import Groups

Out = TypeVar("Out")

_CALLERS_FAULT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)
_MARGIN_S = 0.005
"""Nearer to its deadline than this, who ended a call as too late cannot be told."""


class Why(Enum):
    """Why nobody answered."""

    UNREACHABLE = "unreachable"
    LATE = "late"
    FULL = "full"
    LACKS = "lacks"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The last upstream's reason; `elsewhere` where another one might have answered."""

    why: Why
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class _Got(Generic[Out]):
    """What an upstream answered, as it was read."""

    value: Out


@dataclass(frozen=True, slots=True)
class Question(Generic[Out]):
    """A request that may be made twice; `read` takes an address and its reply, and
    raises ValueError for one that is none.

    `deadline` is of `time.monotonic`. `twice` is whether a second upstream may be asked.
    """

    model: Model
    request: messages.ModelInferRequest
    deadline: float
    read: Callable[[str, messages.ModelInferResponse], Out]
    metadata: tuple[tuple[str, str], ...] | None = None
    twice: bool = True


class UpstreamClient:
    """Connections to all upstreams of `groups`; changes are told to `tell`, once each.

    `calls` counts by address and how it ended, `seconds` second calls by what became of them.
    """

    def __init__(
        self,
        groups: Groups,
        tell: Callable[[Event], None],
        settings: BalancerSettings | None = None,
        dialer: Dialer | None = None,
    ) -> None:
        self.balancer = Balancer(groups, settings)
        dialer = dialer or Dialer()
        dialer.when_renewed(self._renew)
        self.calls: Counter[tuple[str, str]] = Counter()
        self.seconds: Counter[str] = Counter()
        self._tell = tell
        self._connections = {
            one.address: Connection(one, self.balancer, self._changed, dialer)
            for one in self.balancer.endpoints
        }
        self._several = len(self._connections) > 1
        self._running: set[asyncio.Task[Any]] = set()
        self._started = False

    def _renew(self) -> None:
        for connection in self._connections.values():
            connection.renew()

    async def ask(self, question: Question[Out]) -> Out | NoAnswer:
        """What one of them answers by the deadline."""
        if not self._started:
            self._started = True
            for connection in self._connections.values():
                connection.start()
        now = time.monotonic()
        lease = self.balancer.begin(question.model, now, question.deadline - now)
        if isinstance(lease, Unavailable):
            late = lease is Unavailable.TOO_SLOW
            return NoAnswer(Why.LATE if late else Why.UNREACHABLE)
        ask = self._ask_twice if self._several and question.twice else self._ask
        found = await ask(question, lease)
        return found if isinstance(found, NoAnswer) else found.value

    async def _ask_twice(self, question: Question[Out], first: Lease) -> _Got[Out] | NoAnswer:
        """One, and another as soon as the first has failed or is late; whoever answers first."""
        running = {self._begun(question, first)}
        patience_s: float | None = first.patience_s
        second: asyncio.Task[_Got[Out] | NoAnswer] | None = None
        try:
            while True:
                done, running = await asyncio.wait(
                    running, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                failure: NoAnswer | None = None
                for task in done:
                    found = task.result()
                    if isinstance(found, _Got):
                        self.seconds["won"] += task is second
                        return found
                    failure = found
                patience_s = None
                if second is None and (failure is None or failure.elsewhere):
                    second = self._second(question, first)
                    if second is not None:
                        running.add(second)
                if not running:
                    assert failure is not None
                    return failure
        finally:
            for task in running:
                task.cancel()

    def _begun(self, question: Question[Out], lease: Lease) -> asyncio.Task[_Got[Out] | NoAnswer]:
        task = asyncio.create_task(self._ask(question, lease))

        def ended(_task: object) -> None:
            self._running.discard(task)
            if not lease.ended:  # cancelled before its first step
                self.balancer.left(lease, time.monotonic())

        self._running.add(task)
        task.add_done_callback(ended)
        return task

    def _second(
        self, question: Question[Out], first: Lease
    ) -> asyncio.Task[_Got[Out] | NoAnswer] | None:
        now = time.monotonic()
        found = self.balancer.again(question.model, now, question.deadline - now, (first.address,))
        if isinstance(found, Unavailable):
            self.seconds[found.value] += 1
            return None
        self.seconds["begun"] += 1
        return self._begun(question, found)

    async def _ask(self, question: Question[Out], lease: Lease) -> _Got[Out] | NoAnswer:
        """One upstream; says to the balancer how it ended, whatever happens."""
        connection = self._connections[lease.address]
        allowed_s = question.deadline - time.monotonic()
        ended = "left"
        try:
            reply = await connection.infer(
                question.request, timeout=allowed_s, metadata=question.metadata
            )
            try:
                answer = question.read(lease.address, reply)
            except (ValueError, IndexError) as error:
                ended = "failed"
                reason = f"its answer cannot be read: {error}"
                self.balancer.failed(lease, Fault.BROKEN, reason, time.monotonic())
                return NoAnswer(Why.UNREACHABLE, elsewhere=True)
            ended = "answered"
            self.balancer.answered(lease, time.monotonic())
            return _Got(answer)
        except grpc.aio.AioRpcError as error:
            failure = self._failed(lease, error, question.deadline)
            ended = "failed" if failure.why is Why.UNREACHABLE else failure.why.value
            return failure
        finally:
            if not lease.ended:
                self.balancer.left(lease, time.monotonic())
            self.calls[lease.address, ended] += 1
            connection.judged()
            self._changed()

    def _failed(self, lease: Lease, error: grpc.aio.AioRpcError, deadline: float) -> NoAnswer:
        code, details = error.code(), (error.details() or "")[:200]
        now = time.monotonic()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            if now < deadline - _MARGIN_S:
                self.balancer.spoke(lease, now)
                return NoAnswer(Why.LATE, elsewhere=True)
            reason = f"no answer within {now - lease.begun:.2g} s"
            self.balancer.failed(lease, Fault.LATE, reason, now)
            return NoAnswer(Why.LATE)
        if code is grpc.StatusCode.NOT_FOUND:
            self.balancer.lacked(lease, details, now)
            return NoAnswer(Why.LACKS, elsewhere=True)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" not in details:
            self.balancer.full(lease, _retry_after(error), now)
            return NoAnswer(Why.FULL, elsewhere=True)
        if code in _CALLERS_FAULT or code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            # gRPC's own limit on a message's size has the same code as a full queue.
            self.balancer.spoke(lease, now)
            return NoAnswer(Why.REFUSED)
        fault = Fault.UNREACHABLE if code in GONE else Fault.BROKEN
        self.balancer.failed(lease, fault, f"{code.name}: {details}", now)
        return NoAnswer(Why.UNREACHABLE, elsewhere=True)

    def _changed(self) -> None:
        for event in self.balancer.events():
            self._tell(event)

    async def close(self) -> None:
        """Give connections back; calls in flight are cancelled."""
        await asyncio.gather(*(one.close() for one in self._connections.values()))


def _retry_after(error: grpc.aio.AioRpcError) -> float:
    """Seconds that the other side asks for; 0 where it says nothing sensible."""
    for name, value in error.trailing_metadata() or ():
        text = value if isinstance(value, str) else ""
        if name == "retry-after" and text.isascii() and text.isdecimal() and len(text) < 7:
            return float(text)
    return 0.0
