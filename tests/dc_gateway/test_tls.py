"""The gateway under TLS: who comes in, who that is, and certificates that change under traffic."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from dc_gateway.config import GatewayConfig
from dc_gateway.model import LargeModel
from dc_gateway.server import Gateway
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.health_pb2 import HealthCheckRequest, HealthCheckResponse
from hawkvision.oip.health_pb2_grpc import HealthStub
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from hawkvision.serving import metrics_port
from hawkvision.serving.peers import Peer
from tests.certificates import Authority, Signed
from tests.dc_gateway.calls import busy_thread, infer_request, until
from tests.dc_gateway.conftest import Serve, Served
from tests.dc_gateway.tls import (
    IMAGE,
    OWN,
    Code,
    ask,
    asked,
    channel_to,
    eventually,
    metrics,
    mutual,
)
from tests.models import coloured_jpeg


async def test_only_who_shows_a_certificate_of_the_authority_is_answered(
    serve: Serve, ours: Authority, agent: Signed, tmp_path: Path
) -> None:
    others = Authority.make(tmp_path)
    async with serve(**mutual(ours)) as served:
        assert await asked(served, ours.ca, agent) is Code.OK
        for shown in (None, others.sign("one", "DNS:agent-1"), ours.sign("late", days=-1)):
            assert await asked(served, ours.ca, shown) is Code.UNAVAILABLE
        assert await asked(served, others.ca, agent) is Code.UNAVAILABLE  # nor do we trust anybody
        with pytest.raises(grpc.aio.AioRpcError):  # in the clear
            await served.stub.ModelInfer(infer_request(IMAGE), timeout=60)


async def test_without_a_client_authority_tls_alone_is_asked_for(
    serve: Serve, ours: Authority
) -> None:
    async with serve(tls_cert=ours.certificate, tls_key=ours.key) as served:
        assert await asked(served, ours.ca) is Code.OK


async def test_only_named_clients_may_call_whatever_they_call(
    serve: Serve, ours: Authority, agent: Signed
) -> None:
    only_cn = ours.sign("by-common-name")
    allowed = ("agent-1", "by-common-name")
    async with serve(**mutual(ours, allow_clients=allowed)) as served:
        assert await asked(served, ours.ca, agent) is Code.OK
        assert await asked(served, ours.ca, only_cn) is Code.OK
        # The common name counts only where there is no other.
        stranger = ours.sign("agent-1", "DNS:agent-2")
        async with channel_to(served, ours.ca, stranger) as channel:
            health = HealthStub(channel)  # type: ignore[no-untyped-call]
            stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            stream = stub.ModelStreamInfer()
            for call in (
                stub.ModelInfer(infer_request(IMAGE)),
                stub.ServerLive(messages.ServerLiveRequest()),
                health.Check(HealthCheckRequest()),
                health.Watch(HealthCheckRequest()).read(),
                stream.read(),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() is Code.PERMISSION_DENIED
                assert (caught.value.details() or "").startswith("forbidden: no client of this")


async def test_a_client_is_its_certificate_s_name_however_it_connects(
    serve: Serve, ours: Authority, agent: Signed
) -> None:
    """From this machine each connection would be a client of its own."""
    other = ours.sign("two", "DNS:agent-2")
    async with (
        serve(**mutual(ours, max_queue=7, max_client_share=0.5)) as served,
        busy_thread(served),
        contextlib.AsyncExitStack() as stack,
    ):
        channels = [
            await stack.enter_async_context(channel_to(served, ours.ca, agent)) for _ in range(3)
        ]
        calls = [asyncio.create_task(ask(channel)) for channel in channels for _ in range(2)]
        await until(lambda: sum(call.done() for call in calls) == 2)  # of eight places it has half
        assert {call.result() for call in calls if call.done()} == {Code.RESOURCE_EXHAUSTED}
        beside = await stack.enter_async_context(channel_to(served, ours.ca, other))
        waits = asyncio.create_task(ask(beside))
        await until(lambda: served.gateway.pool.pending >= 6)
        assert not waits.done()
        for call in (*calls, waits):
            call.cancel()
        await asyncio.gather(*calls, waits, return_exceptions=True)


async def test_clients_that_wait_have_turns_by_their_weights(
    serve: Serve, ours: Authority, agent: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ours.sign("two", "DNS:agent-2")
    images = {coloured_jpeg("red"): "agent-1", coloured_jpeg("blue"): "agent-2"}
    turns: list[str] = []
    predict = LargeModel.predict

    def noted(model: LargeModel, asked: Sequence[bytes], *more: Any, **named: Any) -> Any:
        turns.append(images[asked[0]])
        return predict(model, asked, *more, **named)

    monkeypatch.setattr(LargeModel, "predict", noted)
    weights = (("agent-1", 3.0),)
    async with (
        serve(**mutual(ours, max_client_share=1.0, client_weights=weights)) as served,
        channel_to(served, ours.ca, agent) as first,
        channel_to(served, ours.ca, other) as second,
    ):
        channels = {"agent-1": first, "agent-2": second}
        async with busy_thread(served):
            calls: list[Any] = []
            for image in sorted(4 * list(images), key=lambda one: images[one], reverse=True):
                channel = channels[images[image]]
                stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
                calls.append(stub.ModelInfer(infer_request(image), timeout=60))
                await until(lambda: served.gateway.pool.waiting == len(calls))
        await asyncio.gather(*calls)
    assert turns == ["agent-2", *3 * ["agent-1"], "agent-2", "agent-1", *2 * ["agent-2"]]


# Renewal.


async def test_metrics_are_under_the_same_tls(serve: Serve, ours: Authority, agent: Signed) -> None:
    async with serve(**mutual(ours, metrics_port=0)) as served:
        port = served.gateway.metrics_port
        assert (await metrics(port, ours.ca, agent)).startswith(b"HTTP/1.1 200 OK")
        assert await metrics(port, ours.ca) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # in the clear
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b"200 OK" not in await reader.read()
        writer.close()


async def test_handshakes_that_never_end_give_their_places_back(
    serve: Serve, ours: Authority, agent: Signed
) -> None:
    """Who is connected has no less of it; who comes waits for the time of a handshake at most."""
    settings = mutual(ours, max_connections=6, handshake_timeout_s=1.0, metrics_port=0)
    hello = bytes.fromhex("16030100")  # the beginning of one
    async with serve(**settings) as served, channel_to(served, ours.ca, agent) as lasting:
        assert await ask(lasting) is Code.OK
        port = int(served.address.rpartition(":")[2])
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        for number, (_, writer) in enumerate(lines):
            writer.write(hello[: number % 5])
        assert await ask(lasting) is Code.OK

        async def comes_in() -> bool:
            return await asked(served, ours.ca, agent) is Code.OK

        await eventually(comes_in)
        for reader, writer in lines:
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 60)
            writer.close()
        assert await ask(lasting) is Code.OK


async def test_at_the_metrics_port_a_handshake_has_a_place_and_a_time_too(
    serve: Serve, ours: Authority, agent: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_port, "_MOST_CONNECTIONS", 2)
    monkeypatch.setattr(metrics_port, "_DEADLINE_S", 2.0)
    async with serve(**mutual(ours, metrics_port=0)) as served:
        port = served.gateway.metrics_port
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await metrics(port, ours.ca, agent) == b""
        for reader, writer in silent:
            assert await asyncio.wait_for(reader.read(), 60) == b""
            writer.close()

        async def answers() -> bool:
            return (await metrics(port, ours.ca, agent)).startswith(b"HTTP/1.1 200")

        await eventually(answers)


# As a client of upstreams.


async def test_a_gateway_shows_its_certificate_to_upstreams_and_renews_it_under_load(
    serve: Serve, ours: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ours.sign("front", "DNS:front").copy(tmp_path / "front")
    async with serve(**mutual(ours)) as far:
        came: list[str] = []
        entrance = far.gateway.door.entrance
        peer = entrance.peer

        def noted(context: Any) -> Peer:
            came.append(peer(context).address)
            return peer(context)

        monkeypatch.setattr(entrance, "peer", noted)
        front = {
            "tasks": ("other",),
            "upstreams": (far.address,),
            "upstream_ca": ours.ca,
            "upstream_cert": files.certificate,
            "upstream_key": files.key,
            "watch_certificates": 0.02,
        }
        async with serve_front(front) as near:
            await near.ModelInfer(infer_request(IMAGE), timeout=60)
            assert set(came) == {"certificate front"}
            files.replace_with(ours.sign("again", "DNS:front-again"))
            async with asyncio.timeout(60):
                while came[-1] != "certificate front-again":
                    await near.ModelInfer(infer_request(IMAGE), timeout=60)


@asynccontextmanager
async def serve_front(settings: dict[str, Any]) -> AsyncIterator[Any]:
    gateway = Gateway(GatewayConfig(port=0, drain_notice_s=0.0, **settings), {})
    address = f"127.0.0.1:{await gateway.start()}"
    try:
        async with grpc.aio.insecure_channel(address, options=OWN) as channel:
            yield GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
    finally:
        await gateway.close()


async def test_the_health_service_answers_who_shows_a_certificate(
    serve: Serve, ours: Authority, agent: Signed
) -> None:
    async with (
        serve(**mutual(ours)) as served,
        channel_to(served, ours.ca, agent) as channel,
    ):
        stub = HealthStub(channel)  # type: ignore[no-untyped-call]
        found = await stub.Check(HealthCheckRequest(), timeout=60)
    assert found.status == HealthCheckResponse.SERVING


async def rest_status(served: Served, ca: Path, path: str, shows: Signed | None) -> int | None:
    """The status of a request to the REST port over TLS; None where there is no answer."""
    context = ssl.create_default_context(cafile=str(ca))
    if shows is not None:
        context.load_cert_chain(shows.certificate, shows.key)
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", served.gateway.http_port, ssl=context
        )
    except OSError:
        return None
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
        return int(line.split()[1]) if line else None
    except OSError:  # who is not let in reads of it after the handshake
        return None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_rest_lets_in_whom_grpc_lets_in(serve: Serve, ours: Authority, agent: Signed) -> None:
    allowed = ("agent-1", "by-common-name")
    async with serve(**mutual(ours, allow_clients=allowed, http_port=0)) as served:
        for path in ("/v2/health/live", "/v2/models/tiny", "/metrics", "/v2/nothing"):
            known = 404 if path == "/v2/nothing" else 200
            assert await rest_status(served, ours.ca, path, agent) == known
        by_name = ours.sign("by-common-name")
        assert await rest_status(served, ours.ca, "/v2", by_name) == 200
        stranger = ours.sign("agent-1", "DNS:agent-2")
        for path in ("/v2/health/live", "/v2/models/tiny", "/metrics"):
            assert await rest_status(served, ours.ca, path, stranger) == 403
        assert await rest_status(served, ours.ca, "/v2", None) is None
