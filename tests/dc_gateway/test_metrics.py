"""The gateway's own port for Prometheus: there where it is asked for, and bounded."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from hawkvision.errors import HawkVisionError
from hawkvision.power import PowerSampler, Rail, Reading
from hawkvision.serving import metrics_port
from hawkvision.serving.metrics_port import MetricsPort
from tests.dc_gateway.conftest import Serve


async def asked(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    found = await reader.read()
    writer.close()
    return found


def get(path: str = "/metrics", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@pytest.fixture(autouse=True)
def sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> Reading:
        return Reading((Rail("nvml", "gpu0", 70.0),))

    made = lambda: PowerSampler([read], every_s=3600.0)  # noqa: E731
    monkeypatch.setattr("dc_gateway.server.PowerSampler.of_machine", made)


async def test_metrics_are_served_where_a_port_is_given(serve: Serve) -> None:
    async with serve(metrics_port=0) as served:
        port = served.gateway.metrics_port
        assert port and f"metrics on port {port}" in served.gateway.ready_line
        head, _, body = (await asked(port, get())).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and b"Connection: close" in head
    assert b'hawkvision_power_watts{source="nvml"} 70.0' in body
    assert b"hawkvision_queue_images 0.0" in body


async def test_without_one_no_sensor_is_looked_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dc_gateway.server.PowerSampler.of_machine", lambda: 1 / 0)
    async with serve() as served:
        assert "metrics" not in served.gateway.ready_line


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (get("/"), b"404"),
        (get(method="POST"), b"405"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (get("/metrics?x=1"), b"200"),
    ],
)
async def test_whatever_else_is_asked_is_refused(serve: Serve, sent: bytes, status: bytes) -> None:
    async with serve(metrics_port=0) as served:
        port = served.gateway.metrics_port
        assert port is not None
        assert (await asked(port, sent)).split(b" ")[1] == status


async def test_probes_have_a_port_that_says_nothing_else(serve: Serve) -> None:
    async with serve(health_port=0) as served:
        port = served.gateway.health_port
        assert port is not None
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert (await asked(port, get(path))).startswith(b"HTTP/1.1 200 OK")
        assert (await asked(port, get("/metrics"))).startswith(b"HTTP/1.1 404 ")
        served.gateway.servicer.draining = True
        assert (await asked(port, get("/v2/health/live"))).startswith(b"HTTP/1.1 200 OK")
        assert (await asked(port, get("/v2/health/ready"))).startswith(b"HTTP/1.1 503 ")
        served.gateway.servicer.draining = False


async def test_who_says_nothing_is_let_go(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "_DEADLINE_S", 0.05)
    async with serve(metrics_port=0) as served:
        port = served.gateway.metrics_port
        assert port is not None
        assert await asked(port, b"GET /metrics") == b""


async def test_too_many_connections_are_not_heard(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_port, "_MOST_CONNECTIONS", 1)
    monkeypatch.setattr(metrics_port, "_DEADLINE_S", 600.0)
    async with serve(metrics_port=0) as served:
        port = served.gateway.metrics_port
        assert port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asked(port, b"") == b""
        writer.write(get())
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_port_that_is_taken_is_one_clear_error() -> None:
    first, second = (MetricsPort(CollectorRegistry()) for _ in range(2))
    port = await first.start("127.0.0.1", 0)
    with pytest.raises(HawkVisionError, match=f"cannot listen on 127.0.0.1:{port} for metrics"):
        await second.start("127.0.0.1", port)
    first.close()
