"""Traces through real services to a real collector: one tree, from the client to the gateway."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from edge_agent.traces import Trace, Traced, trace_of
from hawkvision.errors import HawkVisionError, InvalidRequest
from hawkvision.serving.tracing import Export, Tracing, tracing_of
from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import edge, free_port, gateway

service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
stubs = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc")

CLIENT = "00-11111111111111111111111111111111-2222222222222222-01"
UNSAMPLED = CLIENT[:-1] + "0"


class Collector(stubs.TraceServiceServicer):  # type: ignore[name-defined, misc]
    """Keeps what is exported: spans by the name of their service."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.server: grpc.Server | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        for group in request.resource_spans:
            names = {one.key: one.value.string_value for one in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]
        return service.ExportTraceServiceResponse()

    def named(self, name: str) -> list[tuple[str, Any]]:
        return [(whose, span) for whose, span in self.spans if span.name == name]

    def wait_for(self, name: str, count: int) -> list[tuple[str, Any]]:
        end = time.monotonic() + 60
        while len(self.named(name)) < count:
            assert time.monotonic() < end, [span.name for _, span in self.spans]
            time.sleep(0.05)
        return self.named(name)

    def listen(self) -> None:
        """After the services were started: gRPC does not like forks beside its threads."""
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        stubs.add_TraceServiceServicer_to_server(self, self.server)
        assert self.server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        self.server.start()


@pytest.fixture
def collector() -> Iterator[Collector]:
    kept = Collector()
    yield kept
    if kept.server is not None:
        kept.server.stop(None).wait()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


def post(address: str, image: bytes, query: str, **headers: str) -> None:
    request = urllib.request.Request(
        f"http://{address}/v1/classify?{query}", data=image, headers=headers
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.status == 200


def values(span: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes
    }


def test_one_tree_from_the_client_to_the_gateway(repository: Path, collector: Collector) -> None:
    options = [f"--otlp-endpoint={collector.url}", "--trace-share=0"]
    with (
        gateway(repository, *options) as dc,
        edge(repository, dc.address, *options, "--audit-share=0") as agent,
    ):
        collector.listen()
        image = coloured_jpeg("red", 0)
        post(agent.address, image, "accuracy=relative:0.0001", traceparent=CLIENT)
        post(agent.address, image, "accuracy=relative:0.0001", traceparent=UNSAMPLED)
        post(agent.address, image, "accuracy=relative:0.0001")
        [(whose, root)] = collector.wait_for("hawkvision.classify", 1)
        [(there, below)] = collector.wait_for("hawkvision.infer", 1)
        parts = {
            span.name: span for _, span in collector.spans if span.parent_span_id == root.span_id
        }
    assert (whose, there) == ("hawkvision-edge", "hawkvision-gateway")
    assert root.trace_id.hex() == below.trace_id.hex() == "1" * 32
    assert root.parent_span_id.hex() == "2" * 16
    assert below.parent_span_id == root.span_id
    assert set(parts) == {"wait", "decode", "infer", "escalate", "hawkvision.infer"}
    told = values(root)
    assert told["hawkvision.task"] == "tiny" and told["hawkvision.escalated"] is True
    assert told["hawkvision.served_by"] == "dc" and 0 <= told["hawkvision.confidence"] <= 1
    for part in ("wait", "decode", "infer", "escalate"):
        span = parts[part]
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano
    assert values(below)["hawkvision.images"] == 1
    # Neither the unsampled request nor the one that nobody traces came, though they were answered.
    assert len(collector.named("hawkvision.classify")) == 1


def test_each_image_of_a_request_and_each_error_is_told(
    repository: Path, collector: Collector
) -> None:
    with edge(
        repository,
        f"127.0.0.1:{free_port()}",
        f"--otlp-endpoint={collector.url}",
        "--trace-share=1",
        "--workers=2",
    ) as agent:
        collector.listen()
        boundary = "b" * 20
        part = b"--%s\r\nContent-Disposition: form-data; name=image\r\n\r\n" % boundary.encode()
        images = [coloured_jpeg("red", 1), b"\xff\xd8 no image", coloured_jpeg("red", 2)]
        body = b"".join(part + image + b"\r\n" for image in images)
        body += b"--%s--\r\n" % boundary.encode()
        kind = f"multipart/form-data; boundary={boundary}"
        post(agent.address, body, "accuracy=0.5", **{"Content-Type": kind})
        found = collector.wait_for("hawkvision.classify", 3)
    failed = [span for _, span in found if span.status.code == 2]
    assert len(found) == 3 and len(failed) == 1
    assert values(failed[0])["error.type"] == "unsupported_image"
    assert len({span.span_id for _, span in found}) == 3


def test_a_collector_that_is_away_costs_no_answer(repository: Path) -> None:
    with edge(
        repository,
        f"127.0.0.1:{free_port()}",
        f"--otlp-endpoint=http://127.0.0.1:{free_port()}",
        "--trace-share=1",
    ) as agent:
        for number in range(5):
            post(agent.address, coloured_jpeg("red", number), "accuracy=0.5")


def test_without_a_collector_a_header_is_handed_on_and_nothing_is_made() -> None:
    assert tracing_of(None, 1.0, "x") is None
    assert trace_of(None, None, 0.0) is None
    assert trace_of(None, "nonsense", 0.0) is None
    found = trace_of(None, CLIENT, 0.0)
    assert type(found) is Trace and found.header == CLIENT and found.another() is found


def test_the_caller_decides_and_the_share_is_of_the_others(
    monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    made = Tracing(Export(collector.url, 0.25), "x")
    try:
        draws = iter([0.2499, 0.25])
        monkeypatch.setattr("hawkvision.serving.tracing.random.random", lambda: next(draws))
        assert isinstance(trace_of(made, None, 0.0), Traced)
        assert trace_of(made, None, 0.0) is None
        kept = trace_of(made, UNSAMPLED, 0.0)
        assert type(kept) is Trace and kept.header == UNSAMPLED
        assert isinstance(trace_of(made, CLIENT, 0.0), Traced)
    finally:
        made.close()


@pytest.mark.parametrize("address", ["collector:4317", "ftp://x:1", "http://", "file:///etc"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match="otlp-endpoint"):
        Export(address, 0.5)


def test_without_the_library_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(HawkVisionError, match="OpenTelemetry"):
        Tracing(Export("http://127.0.0.1:1", 0.5), "x")


def test_options_are_bounded() -> None:
    from edge_agent.command import command

    done = CliRunner().invoke(command, ["--trace-share", "1.5"])
    assert done.exit_code == 2 and "--trace-share" in done.output
