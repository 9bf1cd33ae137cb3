"""Every error that HawkVision raises on purpose.

    HawkVisionError
    ├── InvalidRequest            a parameter or body that can never work
    │   ├── Unauthorized          a key is needed, or another one
    │   ├── Forbidden             it is known who asks, and that is nobody who may
    │   ├── UnknownTask
    │   ├── UnknownApp
    │   ├── UnknownAnswer         no answer of this fleet has such a request id
    │   ├── PayloadTooLarge       bytes or pixels over the limit
    │   ├── UnsupportedImage      not an image format we read
    │   ├── UnsupportedCoding     a Content-Encoding that is not read there
    │   ├── CorruptImage          a known format that does not decode
    │   ├── NotSupported          part of a protocol that this service does not do
    │   ├── UnknownStream         no such lossy stream, or it has expired
    │   ├── VersionUnavailable    a task's newest version cannot serve
    │   └── TargetUnreachable     the accuracy target cannot be certified
    ├── BodyTimeout               the client sends its request too slowly
    ├── MalformedPacket           a datagram that the lossy transport cannot read
    ├── Overloaded                a bounded queue is full; try again later
    │   ├── TooManyConnections    no more connections fit, in total or of this peer
    │   ├── ShuttingDown          the service ends; ask again, or another one
    │   └── LimitReached          this client, or all of them, has as many as there may be
    │       └── RateLimited       a key is used more often than it may be
    ├── DeadlineExceeded          the answer would come too late
    ├── UpstreamUnavailable       nobody who could compute the answer is there now
    ├── AgentUnreachable          no edge agent answers at this address
    ├── UnexpectedReply           a reply that is not of HawkVision's contract
    ├── StoreUnavailable          the store of counts and thresholds is away
    ├── StaleFence                another agent has taken the lead
    ├── RepositoryError           a model repository that is damaged or incomplete
    ├── DatasetError              a labelled set that cannot be read
    ├── CalibrationError          too little or unusable calibration data
    └── EngineError               an engine that cannot run here, or failed

Each carries a machine-readable `code`, and a `hint` that says what to do.
"""

from __future__ import annotations


class HawkVisionError(Exception):
    """Base of the tree. `str(error)` is the message for people."""

    code = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_dict(self) -> dict[str, object]:
        """The body of the HTTP error: `{"code", "message", "hint"}`."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class InvalidRequest(HawkVisionError):
    """A parameter or body that can never work."""

    code = "invalid_request"


class Unauthorized(InvalidRequest):
    """A key is needed, or another one than was sent."""

    code = "unauthorized"


class Forbidden(InvalidRequest):
    """It is known who asks, and that is nobody who may."""

    code = "forbidden"


class UnknownTask(InvalidRequest):
    """No such task in the model repository."""

    code = "unknown_task"


class UnknownApp(InvalidRequest):
    """No target is stored for such an app."""

    code = "unknown_app"


class UnknownAnswer(InvalidRequest):
    """No answer that this fleet gave lately has such a request id."""

    code = "unknown_request"


class PayloadTooLarge(InvalidRequest):
    """More bytes or pixels than the limits allow."""

    code = "payload_too_large"


class UnsupportedImage(InvalidRequest):
    """The body is not an image in a format we read."""

    code = "unsupported_image"


class UnsupportedCoding(InvalidRequest):
    """A body under a Content-Encoding that is not read there."""

    code = "unsupported_coding"


class CorruptImage(InvalidRequest):
    """A known image format whose content does not decode."""

    code = "corrupt_image"


class NotSupported(InvalidRequest):
    """A part of a protocol that this service does not do."""

    code = "not_supported"


class UnknownStream(InvalidRequest):
    """No lossy stream has such an id, or it has expired."""

    code = "unknown_stream"


class VersionUnavailable(InvalidRequest):
    """A version of a task that was asked to serve cannot; what served before goes on."""

    code = "version_unavailable"


class TargetUnreachable(InvalidRequest):
    """The accuracy target cannot be certified; `highest` is the best one that can."""

    code = "target_unreachable"

    def __init__(self, message: str, *, highest: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.highest = highest

    def as_dict(self) -> dict[str, object]:
        """As the base, plus `highest_certifiable`."""
        return {**super().as_dict(), "highest_certifiable": self.highest}


class BodyTimeout(HawkVisionError):
    """The client took too long to send its request, or sent its body too slowly."""

    code = "request_timeout"


class MalformedPacket(HawkVisionError):
    """A datagram that the lossy transport cannot read."""

    code = "malformed_packet"


class Overloaded(HawkVisionError):
    """A bounded queue is full. `retry_after_s` is when to try again."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: int = 1, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class TooManyConnections(Overloaded):
    """No more connections fit, in total or of this peer."""

    code = "too_many_connections"


class ShuttingDown(Overloaded):
    """The service ends; what was asked is not answered any more."""

    code = "shutting_down"


class LimitReached(Overloaded):
    """This client holds as many of something as it may, or no more of it are kept at all."""

    code = "limit_reached"


class RateLimited(LimitReached):
    """More requests with a key than its rate allows; `retry_after_s` is when the next may pass."""

    code = "rate_limited"


class DeadlineExceeded(HawkVisionError):
    """The answer would come after its deadline."""

    code = "deadline_exceeded"


class UpstreamUnavailable(HawkVisionError):
    """Nobody who could compute the answer is there now: worker processes, or other gateways."""

    code = "upstream_unavailable"


class AgentUnreachable(HawkVisionError):
    """No edge agent answers at this address."""

    code = "agent_unreachable"


class UnexpectedReply(HawkVisionError):
    """A reply that is not of HawkVision's contract: another server, or another version."""

    code = "unexpected_reply"


class StoreUnavailable(HawkVisionError):
    """The store does not answer, or refuses writes; what is counted meanwhile is kept."""

    code = "store_unavailable"


class StaleFence(HawkVisionError):
    """Another agent has taken the lead meanwhile."""

    code = "stale_fence"


class RepositoryError(HawkVisionError):
    """A model repository that is damaged or incomplete."""

    code = "repository"


class DatasetError(HawkVisionError):
    """A labelled set that cannot be read."""

    code = "dataset"


class CalibrationError(HawkVisionError):
    """Calibration data that is too small or unusable."""

    code = "calibration"


class EngineError(HawkVisionError):
    """An engine that cannot run on this machine, or failed to."""

    code = "engine"
