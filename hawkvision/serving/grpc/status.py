"""Which gRPC status each error of ours becomes, and what a client is told."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from hawkvision.errors import (
    BodyTimeout,
    CalibrationError,
    DeadlineExceeded,
    Forbidden,
    HawkVisionError,
    InvalidRequest,
    NotSupported,
    Overloaded,
    RepositoryError,
    ShuttingDown,
    StoreUnavailable,
    Unauthorized,
    UnknownApp,
    UnknownTask,
    UpstreamUnavailable,
    VersionUnavailable,
)

_CODES: tuple[tuple[type[HawkVisionError], grpc.StatusCode], ...] = (
    (UnknownTask, grpc.StatusCode.NOT_FOUND),
    (UnknownApp, grpc.StatusCode.NOT_FOUND),
    (Unauthorized, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (NotSupported, grpc.StatusCode.UNIMPLEMENTED),
    (VersionUnavailable, grpc.StatusCode.FAILED_PRECONDITION),
    (InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (ShuttingDown, grpc.StatusCode.UNAVAILABLE),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (BodyTimeout, grpc.StatusCode.DEADLINE_EXCEEDED),
    (UpstreamUnavailable, grpc.StatusCode.UNAVAILABLE),
    (StoreUnavailable, grpc.StatusCode.UNAVAILABLE),
    (RepositoryError, grpc.StatusCode.FAILED_PRECONDITION),
    (CalibrationError, grpc.StatusCode.FAILED_PRECONDITION),
)


@dataclass(frozen=True, slots=True)
class Status:
    """A refusal as gRPC carries it; `details` reads `code: text`."""

    code: grpc.StatusCode
    details: str
    trailing: tuple[tuple[str, str], ...] = ()


def _when_again(error: Overloaded) -> tuple[tuple[str, str], ...]:
    """Seconds as HTTP has them, and the milliseconds that clients with a retry policy keep to.

    Source: gRPC's proposal A6, server pushback.
    """
    after_s = error.retry_after_s
    return ("retry-after", str(after_s)), ("grpc-retry-pushback-ms", str(after_s * 1000))


def status_of(error: Exception) -> Status:
    """The status for an error; an unexpected one tells the client nothing of our insides."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            text = f"{error.code}: {error.message}"
            details = f"{text}. {error.hint}" if error.hint else text
            if isinstance(error, Overloaded):
                return Status(code, details, _when_again(error))
            return Status(code, details)
    return Status(
        grpc.StatusCode.INTERNAL, "internal: the request failed; see the server's own log"
    )
