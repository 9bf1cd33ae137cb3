"""An image on its way, as traces tell it: what was asked, who answered, and where the time went."""

from __future__ import annotations

import time

from edge_agent.outcome import Outcome
from edge_agent.parameters import parse_trace
from hawkvision.cascade import AccuracyTarget
from hawkvision.serving.tracing import Span, Tracing


class Trace:
    """What a client's `traceparent` becomes; here it is only handed on (`header`)."""

    __slots__ = ("header",)

    def __init__(self, header: str) -> None:
        self.header = header

    def answered(self, outcome: Outcome) -> None:
        """The image was answered."""

    def failed(self, error: BaseException) -> None:
        """The image was refused, or could not be read."""

    def another(self) -> Trace:
        """For the next image of the same request."""
        return self


class Traced(Trace):
    """An image with a span of its own, which ends with its answer."""

    __slots__ = ("_arrived", "_parent", "_span", "_tracing")

    def __init__(self, tracing: Tracing, span: Span, parent: str | None, arrived: float) -> None:
        super().__init__(span.header)
        self._tracing = tracing
        self._span = span
        self._parent = parent
        self._arrived = arrived

    def answered(self, outcome: Outcome) -> None:
        """Where the time went, reckoned from the end: waiting is what is left."""
        now = time.monotonic()
        edge = outcome.edge
        escalated = now - outcome.escalate_ms / 1e3
        inferred = escalated - edge.infer_ms / 1e3
        decoded = inferred - edge.decode_ms / 1e3
        self._span.part("wait", self._arrived, max(self._arrived, decoded))
        self._span.part("decode", decoded, inferred)
        self._span.part("infer", inferred, escalated)
        if outcome.escalate_ms:
            self._span.part("escalate", escalated, now)
        self._span.end(now, _told(outcome, outcome.target))

    def failed(self, error: BaseException) -> None:
        """See `Trace`."""
        self._span.end(time.monotonic(), {}, error)

    def another(self) -> Trace:
        """See `Trace`: below the same caller."""
        made = trace_of(self._tracing, self._parent or self.header, self._arrived)
        return self if made is None else made


def trace_of(tracing: Tracing | None, header: str | None, arrived: float) -> Trace | None:
    """Of a request with such a `traceparent` header, if any; None: nothing to tell or hand on."""
    header = parse_trace(header)
    if tracing is not None:
        span = tracing.begin("hawkvision.classify", header, arrived)
        if span is not None:
            return Traced(tracing, span, header, arrived)
    return None if header is None else Trace(header)


def _told(outcome: Outcome, target: AccuracyTarget) -> dict[str, str | bool | float]:
    local = outcome.local
    told: dict[str, str | bool | float] = {
        "hawkvision.task": local.task.name,
        "hawkvision.version": local.task.version,
        "hawkvision.accuracy": str(target.accuracy),
        "hawkvision.threshold": float(target.threshold),
        "hawkvision.confidence": float(outcome.edge.prediction.confidence),
        "hawkvision.served_by": outcome.served_by,
        "hawkvision.rung": outcome.rung,
        "hawkvision.escalated": outcome.over_link,
    }
    if outcome.degraded is not None:
        told["hawkvision.degraded"] = outcome.degraded
    return told
