"""Which gRPC status each error of ours becomes, and what a client is told."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from hawkvision.errors import (
    BodyTimeout,
    DeadlineExceeded,
    HawkVisionError,
    InvalidRequest,
    Overloaded,
    UnknownTask,
    UpstreamUnavailable,
)

_CODES: tuple[tuple[type[HawkVisionError], grpc.StatusCode], ...] = (
    (UnknownTask, grpc.StatusCode.NOT_FOUND),
    (InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (BodyTimeout, grpc.StatusCode.DEADLINE_EXCEEDED),
    (UpstreamUnavailable, grpc.StatusCode.UNAVAILABLE),
)


@dataclass(frozen=True, slots=True)
class Status:
    """A refusal as gRPC carries it; `details` reads `code: text`."""

    code: grpc.StatusCode
    details: str
    trailing: tuple[tuple[str, str], ...] = ()


def status_of(error: Exception) -> Status:
    """The status for an error; an unexpected one tells the client nothing of our insides."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            text = f"{error.code}: {error.message}"
            details = f"{text}. {error.hint}" if error.hint else text
            if isinstance(error, Overloaded):
                return Status(code, details, (("retry-after", str(error.retry_after_s)),))
            return Status(code, details)
    return Status(
        grpc.StatusCode.INTERNAL, "internal: the request failed; see the gateway's own log"
    )
