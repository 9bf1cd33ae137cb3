"""The agent's gRPC port: behind several workers, with TLS, and while the agent stops."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton

from hawkvision.errors import HawkVisionError
from hawkvision.oip.health_pb2 import HealthCheckRequest, HealthCheckResponse
from hawkvision.oip.health_pb2_grpc import HealthStub
from tests.certificates import Authority
from tests.edge_agent.agents import started
from tests.models import coloured_jpeg
from tests.processes import edge, free_port

OWN = [("grpc.use_local_subchannel_pool", 1)]


def infer(client: Any) -> list[bytes]:
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([coloured_jpeg("red")], np.object_))
    found: list[bytes] = client.infer("tiny", [tensor]).as_numpy("label").tolist()
    return found


def test_workers_share_the_port_and_one_that_ends_is_missed_by_nobody(
    tiny_repository: Path,
) -> None:
    options = ("--workers", "2", "--grpc-port", "0")
    with edge(tiny_repository, f"127.0.0.1:{free_port()}", *options) as service:
        match = re.search(r"gRPC on port (\d+)", service.output)
        assert match is not None
        address = f"127.0.0.1:{match[1]}"

        def anew() -> list[bytes]:
            with triton.InferenceServerClient(address, channel_args=OWN) as client:
                return infer(client)

        assert [anew() for _ in range(4)] == [[b"red"]] * 4
        victim = psutil.Process(service.process.pid).children()[0]
        victim.kill()
        victim.wait(60)
        assert [anew() for _ in range(4)] == [[b"red"]] * 4
        assert service.terminate() == 0


async def test_with_tls_files_the_port_is_under_tls(tiny_repository: Path, tmp_path: Path) -> None:
    one = Authority.make(tmp_path)
    tls = {"tls_cert": one.certificate, "tls_key": one.key}
    async with started(tiny_repository, grpc_port=0, **tls) as agent:
        trusted = grpc.ssl_channel_credentials(one.ca.read_bytes())
        address = f"localhost:{agent.grpc_port}"
        async with grpc.aio.secure_channel(address, trusted) as channel:
            stub = HealthStub(channel)  # type: ignore[no-untyped-call]
            found = await stub.Check(HealthCheckRequest(service="tiny"), timeout=30)
        async with grpc.aio.insecure_channel(address) as channel:
            stub = HealthStub(channel)  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Check(HealthCheckRequest(), timeout=30)
    assert found.status == HealthCheckResponse.SERVING


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STALLED = {
    "nothing": (b"", False),
    "half a hello of TLS": (bytes.fromhex("160301020001"), False),
    "half a preface": (PREFACE[:10], False),
    "a preface without settings": (PREFACE, False),
    "TLS, then nothing": (b"", True),
    "TLS, then half a preface": (PREFACE[:10], True),
    "TLS, then a preface without settings": (PREFACE, True),
}


async def test_a_handshake_that_stalls_gives_its_place_back_long_before_ten_seconds(
    tiny_repository: Path, tmp_path: Path
) -> None:
    one = Authority.make(tmp_path)
    client = ssl.create_default_context(cafile=str(one.ca))
    client.set_alpn_protocols(["h2"])

    async def ended_after_s(port: int | None, data: bytes, secure: bool) -> float:
        tls = {"ssl": client, "server_hostname": "localhost"} if secure else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **tls)  # type: ignore[arg-type]
        began = time.monotonic()
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 60)
        took = time.monotonic() - began
        writer.close()
        return took

    files = {"tls_cert": one.certificate, "tls_key": one.key}
    async with (
        started(tiny_repository, grpc_port=0) as plain,
        started(tiny_repository, grpc_port=0, **files) as secure,
    ):
        found = await asyncio.gather(
            *(ended_after_s(secure.grpc_port, *stalled) for stalled in STALLED.values()),
            *(
                ended_after_s(plain.grpc_port, data, False)
                for data, tls in STALLED.values()
                if not tls
            ),
        )
    assert max(found) < 9, dict(zip(STALLED, found, strict=False))


async def test_a_port_that_is_taken_is_said(tiny_repository: Path) -> None:
    async with started(tiny_repository, grpc_port=0) as agent:
        with pytest.raises(HawkVisionError, match="cannot listen"):
            async with started(tiny_repository, grpc_port=agent.grpc_port):
                pass


async def test_an_agent_that_drains_says_so_and_answers_what_it_has(tiny_repository: Path) -> None:
    async with started(tiny_repository, grpc_port=0) as agent:
        address = f"127.0.0.1:{agent.grpc_port}"
        async with grpc.aio.insecure_channel(address, options=OWN) as channel:
            stub = HealthStub(channel)  # type: ignore[no-untyped-call]
            watch = stub.Watch(HealthCheckRequest(service="tiny"))
            before = await watch.read()
            drain = asyncio.create_task(agent.drain())
            after = await watch.read()
            await drain
    assert [before.status, after.status] == [
        HealthCheckResponse.SERVING,
        HealthCheckResponse.NOT_SERVING,
    ]
