"""What another server's refusal means: our error for it, and what it says of that server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
import grpc.aio

from hawkvision.errors import (
    BodyTimeout,
    CorruptImage,
    DeadlineExceeded,
    HawkVisionError,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
    UnknownTask,
    UnsupportedImage,
    UpstreamUnavailable,
)
from hawkvision.serving.upstreams.balancer import Balancer, Fault, Lease

Code = grpc.StatusCode

_LONGEST = 500
_LONGEST_WAIT_S = 60

_KINDS: Mapping[str, type[HawkVisionError]] = {
    kind.code: kind
    for kind in (
        InvalidRequest,
        UnknownTask,
        PayloadTooLarge,
        UnsupportedImage,
        CorruptImage,
        BodyTimeout,
        DeadlineExceeded,
        UpstreamUnavailable,
    )
}
_OF_STATUS: Mapping[Code, type[HawkVisionError]] = {
    Code.NOT_FOUND: UnknownTask,
    Code.INVALID_ARGUMENT: InvalidRequest,
    Code.FAILED_PRECONDITION: InvalidRequest,
    Code.OUT_OF_RANGE: InvalidRequest,
    Code.UNIMPLEMENTED: InvalidRequest,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
}
"""Others are the server's own fault."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """`final`: no other server would answer it either."""

    error: HawkVisionError
    final: bool


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What a client of ours is told where a call upstream ended so.

    Details that begin with one of our codes (`corrupt_image: …`) keep it.
    """
    status, text = error.code(), (error.details() or "")[:_LONGEST]
    if status is Code.RESOURCE_EXHAUSTED:
        if "larger than max" in text:  # gRPC's own limit of a message
            return Refusal(PayloadTooLarge(f"the upstream: {text}"), final=True)
        return Refusal(Overloaded(_without_code(text), retry_after_s=retry_after_s(error)), False)
    kind = _OF_STATUS.get(status)
    if kind is None:
        return Refusal(UpstreamUnavailable(f"the upstream fails ({status.name}): {text}"), False)
    named = _KINDS.get(text.partition(": ")[0])
    if named is not None:
        return Refusal(named(_without_code(text)), final=issubclass(named, _FINAL))
    return Refusal(kind(text or status.name), final=issubclass(kind, _FINAL))


_FINAL = (InvalidRequest,)


def _without_code(text: str) -> str:
    code, colon, rest = text.partition(": ")
    return rest if colon and code.replace("_", "").isalpha() and code.islower() else text


def retry_after_s(error: grpc.aio.AioRpcError) -> int:
    """What the server says of when to come again, seconds; 1 where it says nothing of use."""
    for key, value in error.trailing_metadata() or ():
        if key == "retry-after" and isinstance(value, str) and value.isdigit():
            return min(int(value[:6]), _LONGEST_WAIT_S)
    return 1


def note(balancer: Balancer, lease: Lease, error: grpc.aio.AioRpcError, now: float) -> None:
    """Say to the balancer how a call ended."""
    status, text = error.code(), (error.details() or "")[:_LONGEST]
    if status is Code.NOT_FOUND:
        balancer.lacked(lease, text, now)
    elif status is Code.RESOURCE_EXHAUSTED:
        balancer.full(lease, float(retry_after_s(error)), now)
    elif status is Code.DEADLINE_EXCEEDED:
        balancer.failed(lease, Fault.LATE, "no answer in time", now)
    elif status in (Code.UNAVAILABLE, Code.CANCELLED):
        balancer.failed(lease, Fault.UNREACHABLE, f"{status.name}: {text}", now)
    elif status in _OF_STATUS:
        balancer.spoke(lease, now)
    else:
        balancer.failed(lease, Fault.BROKEN, f"{status.name}: {text}", now)
