"""Spans for OpenTelemetry, made by hand: whoever traces nothing pays nothing.

A span is made when its request ends, from times that were taken anyway; only its id has to be known
before, for whoever is asked on the way. It goes to the one collector that the operator named, in
batches, from a thread of its own. Source: W3C Trace Context; OpenTelemetry's specification.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hawkvision import __version__
from hawkvision.errors import HawkVisionError, InvalidRequest

PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
"""A `traceparent`: the ids of a trace and of the caller's span in it, and flags."""

_SAMPLED = 1
_MOST_WAITING = 2048
"""Spans that wait for the collector; what goes over is dropped, and the exporter says so."""

Value = str | bool | int | float


@dataclass(frozen=True, slots=True)
class Export:
    """Where spans go (`http://HOST:PORT` or `https://…`, OTLP over gRPC), and the share of requests
    that are traced without having been asked to."""

    endpoint: str
    share: float

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequest(
                f"--otlp-endpoint {self.endpoint!r} is no address of a collector",
                hint="http://HOST:4317, or https://HOST:4317.",
            )


class Span:
    """One request on its way; `header` is what its own questions carry (`traceparent`).

    Times are of `time.monotonic`.
    """

    __slots__ = ("_offset", "_span", "_tracer", "header")

    def __init__(self, tracer: Any, span: Any, offset: int) -> None:
        self._tracer = tracer
        self._offset = offset
        self._span = span
        found = span.get_span_context()
        self.header = f"00-{found.trace_id:032x}-{found.span_id:016x}-01"

    def part(self, name: str, began: float, ended: float) -> None:
        """Something that was done for it, from when to when."""
        from opentelemetry.trace import set_span_in_context

        inside = self._tracer.start_span(
            name, set_span_in_context(self._span), start_time=self._unix(began)
        )
        inside.end(self._unix(ended))

    def _unix(self, at: float) -> int:
        return self._offset + _nanoseconds(at)

    def end(
        self, ended: float, values: Mapping[str, Value], error: BaseException | None = None
    ) -> None:
        """It was answered, or failed."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attributes(values)
        if error is not None:
            code = error.code if isinstance(error, HawkVisionError) else "internal"
            self._span.set_attribute("error.type", code)
            self._span.set_status(Status(StatusCode.ERROR, code))
        self._span.end(self._unix(ended))


class Tracing:
    """Makes spans of one service and sends them. Raises HawkVisionError without OpenTelemetry."""

    def __init__(self, export: Export, service: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        except ImportError as error:
            raise HawkVisionError(
                "--otlp-endpoint needs OpenTelemetry's SDK and its exporter",
                hint="pip install 'hawkvision[otel]'",
            ) from error
        self._share = export.share
        exporter = OTLPSpanExporter(
            endpoint=export.endpoint,
            insecure=export.endpoint.startswith("http:"),
            channel_options=(("grpc.enable_http_proxy", "0"),),
        )
        resource = Resource.create({"service.name": service, "service.version": __version__})
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, _MOST_WAITING))
        self._tracer = self._provider.get_tracer("hawkvision", __version__)

    def begin(self, name: str, header: str | None, began: float) -> Span | None:
        """A span below the caller's, or the first of a trace; None where it is not sampled.

        A caller who traces decides (`sampled` in its header); the share is of all others.
        """
        from opentelemetry.trace import (
            NonRecordingSpan,
            SpanContext,
            SpanKind,
            TraceFlags,
            set_span_in_context,
        )

        found = None if header is None else PARENT.fullmatch(header)
        if found is None:
            if random.random() >= self._share:
                return None
            above = None
        else:
            if not int(found[3], 16) & _SAMPLED:
                return None
            parent = SpanContext(
                int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(1)
            )
            above = set_span_in_context(NonRecordingSpan(parent))
        offset = time.time_ns() - time.monotonic_ns()  # one for all parts, so that they fit
        at = offset + _nanoseconds(began)
        span = self._tracer.start_span(name, above, kind=SpanKind.SERVER, start_time=at)
        return Span(self._tracer, span, offset)

    def close(self) -> None:
        """Send what waits, as far as the collector takes it; blocks, for two seconds at most."""
        self._provider.force_flush(2000)
        self._provider.shutdown()


def tracing_of(endpoint: str | None, share: float, service: str) -> Tracing | None:
    """None where no collector was named. Raises HawkVisionError."""
    if endpoint is None:
        return None
    # One line each time that a collector is away is enough; its retries say nothing new.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    return Tracing(Export(endpoint, share), service)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
