"""REST at the gateway within its bounds: bytes, times, connections, clients, deadlines, the end."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from dc_gateway.config import GatewayConfig
from dc_gateway.rest import connection_limits
from hawkvision.errors import HawkVisionError, Overloaded
from hawkvision.images import ImageLimits
from hawkvision.serving.peers import Peer
from hawkvision.serving.quota import Quota
from tests.dc_gateway.calls import busy_thread, infer_request, until
from tests.dc_gateway.conftest import Serve
from tests.dc_gateway.http import asking, connect, exchange
from tests.edge_agent.agents import read_reply, request
from tests.models import coloured_jpeg
from tests.oip.calls import INFER, LENGTH

RED = coloured_jpeg("red")
BARE = f"{LENGTH}: 0"


def declared(size: int, *headers: str) -> bytes:
    """The head of an inference whose body is still to come."""
    lines = [f"POST {INFER} HTTP/1.1", "Host: x", f"Content-Length: {size}", BARE, *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def test_a_body_beyond_a_message_is_refused_before_it_is_read(serve: Serve) -> None:
    async with serve(http_port=0, max_message_bytes=100_000) as served:
        found = await exchange(served.gateway, declared(100_001))
        assert (found.status, found.code) == (413, "payload_too_large")
        bomb = gzip.compress(bytes(100_001))
        sent = request("POST", INFER, bomb, BARE, "Content-Encoding: gzip")
        found = await exchange(served.gateway, sent)
        assert (found.status, found.code) == (413, "payload_too_large")
        assert served.gateway.door.entrance.held_bytes.held == 0


async def test_bodies_and_messages_share_one_budget(serve: Serve) -> None:
    """A body that is here counts among the bytes that gRPC's messages may hold, and the reverse."""
    async with serve(http_port=0, max_message_bytes=100_000, max_buffered_bytes=200_000) as served:
        held = served.gateway.door.entrance.held_bytes
        reader, writer = await connect(served.gateway)
        writer.write(declared(90_000) + bytes(80_000))
        await until(lambda: held.held == 80_000)
        big = infer_request(bytes(30_000))
        with pytest.raises(Exception, match="bytes are at work here") as refused:
            await served.stub.ModelInfer(big, timeout=60)
        assert refused.value.code().name == "RESOURCE_EXHAUSTED"  # type: ignore[attr-defined]
        with held.take(Peer("other", "other"), 15_000):
            writer.write(bytes(10_000))
            found = await read_reply(reader)
        assert (found.status, found.code) == (503, "overloaded") and found.headers["retry-after"]
        writer.close()
        await until(lambda: held.held == 0)


async def test_of_one_body_the_largest_fits_though_it_comes_in_parts(serve: Serve) -> None:
    """One client has a share of the budget, but the first message of each fits whole."""
    async with serve(
        http_port=0, max_message_bytes=100_000, max_buffered_bytes=100_000, max_client_share=0.1
    ) as served:
        reader, writer = await connect(served.gateway)
        writer.write(declared(90_000) + RED)
        for _ in range(8):
            writer.write(bytes(10_000))
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write(bytes(10_000 - len(RED)))
        found = await read_reply(reader)
        writer.close()
    assert found.status == 200, found.body


@pytest.mark.parametrize(
    ("start", "code"),
    [(b"POST /v2/mod", "request_timeout"), (declared(1000) + b"x", "request_timeout")],
)
async def test_who_is_slow_is_told_and_sent_away(serve: Serve, start: bytes, code: str) -> None:
    async with serve(http_port=0, receive_timeout_s=0.2) as served:
        reader, writer = await connect(served.gateway)
        writer.write(start)
        found = await read_reply(reader)
        assert found.status == 408 and code in found.body.decode()
        assert await reader.read() == b""
        writer.close()


async def test_who_says_nothing_is_sent_away(serve: Serve) -> None:
    async with serve(http_port=0, receive_timeout_s=0.2) as served:
        reader, writer = await connect(served.gateway)
        assert await reader.read() == b""
        writer.close()
        assert served.gateway.rest is not None
        assert served.gateway.rest.connections.ended["head_timeout"] == 1


async def test_connections_are_bounded_and_the_next_one_is_told_so(serve: Serve) -> None:
    async with serve(http_port=0, max_connections=2) as served:
        lines = [await connect(served.gateway) for _ in range(2)]
        for _, writer in lines:
            writer.write(declared(10))  # they have begun something: nobody makes way
        rest = served.gateway.rest
        assert rest is not None
        await until(lambda: len(rest.entrance._in_flight) == 2)
        found = await exchange(served.gateway, request("GET", "/v2/health/live"))
        assert (found.status, found.json["error"]["code"]) == (503, "too_many_connections")
        for _, writer in lines:
            writer.close()


def test_descriptors_are_left_for_both_ports() -> None:
    config = GatewayConfig(max_connections=300)
    assert connection_limits(config, 1024).most == 300
    assert connection_limits(config, 500).most <= 200
    assert connection_limits(config, 10).most >= 1


@pytest.mark.parametrize("given", [{"deadline_ms": 50}, {"timeout": 50_000}])
async def test_a_deadline_of_the_request_ends_it(serve: Serve, given: dict[str, int]) -> None:
    async with serve(http_port=0, max_deadline_s=3600.0) as served, busy_thread(served):
        found = await exchange(served.gateway, asking(RED, parameters=given))
    assert found.status == 503 and found.code in ("deadline_exceeded", "overloaded")
    assert found.headers["retry-after"]


async def test_no_answer_takes_longer_than_any_may(serve: Serve) -> None:
    async with serve(http_port=0, max_deadline_s=0.3) as served, busy_thread(served):
        found = await exchange(served.gateway, asking(RED))
    assert (found.status, found.code) == (503, "deadline_exceeded")


async def test_images_of_both_doors_wait_in_one_queue(serve: Serve) -> None:
    async with (
        serve(http_port=0, max_queue=2, max_client_share=1.0) as served,
        busy_thread(served),
    ):
        waiting = [
            asyncio.ensure_future(served.stub.ModelInfer(infer_request(RED), timeout=60))
            for _ in range(2)
        ]
        await until(lambda: served.gateway.pool.pending == 3)
        found = await exchange(served.gateway, asking(RED))
        assert (found.status, found.code) == (503, "overloaded") and found.headers["retry-after"]
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_hangs_up_is_not_waited_for(serve: Serve) -> None:
    async with serve(http_port=0) as served, busy_thread(served):
        _, writer = await connect(served.gateway)
        writer.write(asking(RED))
        await writer.drain()
        await until(lambda: served.gateway.pool.pending == 2)
        writer.close()
        rest = served.gateway.rest
        assert rest is not None
        await until(rest.entrance.idle.is_set)
        assert served.gateway.door.entrance.held_bytes.held == 0


async def test_pixels_beyond_the_limit_are_refused(serve: Serve) -> None:
    async with serve(http_port=0, limits=ImageLimits(max_pixels=100)) as served:
        inputs = [
            {"name": "image", "datatype": "UINT8", "shape": [1, 11, 10, 3], "data": [0] * 330}
        ]
        found = await exchange(
            served.gateway, request("POST", INFER, json.dumps({"inputs": inputs}).encode())
        )
        assert (found.status, found.code) == (413, "payload_too_large")


async def test_while_draining_it_answers_and_says_not_ready_and_then_it_ends(serve: Serve) -> None:
    async with serve(http_port=0, drain_notice_s=0.5) as served:
        gateway = served.gateway
        draining = asyncio.create_task(gateway.drain())
        await until(lambda: gateway.servicer.draining)
        found = await exchange(gateway, request("GET", "/v2/health/ready"))
        assert (found.status, found.headers.get("connection")) == (503, "close")
        assert (await exchange(gateway, request("GET", "/v2/models/tiny/ready"))).status == 503
        assert (await exchange(gateway, asking(RED))).status == 200
        index = await exchange(gateway, request("POST", "/v2/repository/index"))
        assert [one["state"] for one in index.json] == ["UNAVAILABLE"]
        await draining
        with pytest.raises(OSError):
            await connect(gateway)


async def test_what_runs_when_it_drains_is_finished(serve: Serve) -> None:
    async with serve(http_port=0, drain_grace_s=60.0) as served:
        async with busy_thread(served):
            reader, writer = await connect(served.gateway)
            writer.write(asking(RED))
            await until(lambda: served.gateway.pool.pending == 2)
            draining = asyncio.create_task(served.gateway.drain())
            await until(lambda: served.gateway.servicer.draining)
        found = await read_reply(reader)
        writer.close()
        await draining
    assert found.status == 200


async def test_the_end_tells_who_still_waits(serve: Serve) -> None:
    async with serve(http_port=0) as served, busy_thread(served):
        reader, writer = await connect(served.gateway)
        writer.write(asking(RED))
        await until(lambda: served.gateway.pool.pending == 2)
        closing = asyncio.create_task(served.gateway.close())
        found = await read_reply(reader)
        writer.close()
        await closing
    assert (found.status, found.code) == (503, "shutting_down")


def test_what_grows_counts_as_one_and_other_work_of_its_peer_does_not() -> None:
    quota, peer = Quota("bytes", 100, 0.5), Peer("a", "a")
    quota.hold(peer, 40)
    quota.hold(peer, 40, 40)
    assert quota.held == 80
    with pytest.raises(Overloaded):
        quota.hold(peer, 1)
    quota.release(peer, 80)
    quota.hold(peer, 30)
    with pytest.raises(Overloaded):
        quota.hold(peer, 21, 0)
    quota.release(peer, 30)
    assert quota.held == 0


async def test_a_port_that_is_taken_is_named_with_its_option(serve: Serve) -> None:
    async with serve(http_port=0) as served:
        taken = served.gateway.http_port
        with pytest.raises(HawkVisionError, match=f"cannot listen on 127.0.0.1:{taken}") as error:
            async with serve(http_port=taken):
                pass
    assert "--http-port" in error.value.hint
