"""What may be asked for when a stream is opened, its keys, its limits and its end."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.lossy import LossyStream
from hawkvision.contract.stream import StreamEnd, StreamEvent
from hawkvision.errors import HawkVisionError, InvalidRequest, Overloaded, UnknownStream
from hawkvision.repository import shipped_repository
from hawkvision.serving.peers import is_loopback
from tests.edge_agent.streams.talking import TASK, opened, url
from tests.lossy.photos import jpeg
from tests.processes import Service, edge


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"accuracy": "0.999"}, "target_unreachable"),
        ({"accuracy": "no"}, "invalid_request"),
        ({"task": "no-such"}, "unknown_task"),
        ({"app": "no-such"}, "unknown_app"),
        ({"mtu": 1}, "invalid_request"),
        ({"color": 1}, "invalid_request"),
    ],
)
async def test_bad_requests_say_what_is_wrong(agent: Service, asked: Any, code: str) -> None:
    async with AsyncClient(url(agent)) as client:
        with pytest.raises(HawkVisionError) as caught:
            await client.open_stream(asked)
        assert caught.value.code == code


async def test_an_unknown_stream_is_404(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        for call in (client.stream_status, client.close_stream):
            with pytest.raises(UnknownStream):
                await call("no-such")
        with pytest.raises(UnknownStream):
            async for _ in client.stream_events("no-such"):
                pass


async def test_bad_options_of_requests_raise(agent: Service) -> None:
    with pytest.raises(InvalidRequest):
        async with LossyStream.open(url(agent), mtu=99_999):
            pass


async def test_limits_and_expiry(agent: Service) -> None:
    options = (*TASK, "--max-streams", "2", "--stream-idle-s", "1")
    with edge(shipped_repository(), "127.0.0.1:1", *options) as small:
        async with AsyncClient(url(small)) as client:
            first = await opened(client)
            await opened(client)
            with pytest.raises(Overloaded) as caught:
                await opened(client)
            assert caught.value.retry_after_s == 10
            events = [event.event async for event in client.stream_events(first.id)]
            assert events == ["end"]
            with pytest.raises(UnknownStream):
                await client.stream_status(first.id)
            await opened(client)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_keys_can_be_handed_out_over_https(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    line = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        f"-keyout {key} -out {cert} -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(line.split(), check=True, capture_output=True)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(1))
    options = (*TASK, "--tls-cert", str(cert), "--tls-key", str(key))
    with edge(shipped_repository(), "127.0.0.1:1", *options) as service:
        send = (
            f"-m hawkvision.cli stream send {photo} --accuracy 0.8 --url https://{service.address}"
        )
        done = subprocess.run(
            [sys.executable, *send.split()],
            env={**os.environ, "SSL_CERT_FILE": str(cert)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "1 answered" in done.stdout


async def test_streams_end_when_the_agent_drains() -> None:
    with edge(shipped_repository(), "127.0.0.1:1", *TASK) as service:
        async with AsyncClient(url(service)) as client:
            offer = await opened(client)
            follower = asyncio.create_task(collect(client, offer.id))
            await asyncio.sleep(0.2)
            start = time.monotonic()
            assert await asyncio.to_thread(service.terminate) == 0
            assert time.monotonic() - start < 5
            assert await follower == [StreamEnd("agent_stops")]


async def collect(client: AsyncClient, stream_id: str) -> list[StreamEvent]:
    return [event async for event in client.stream_events(stream_id)]


async def test_plain_rtp_is_refused_off_loopback() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("10.0.0.1") and not is_loopback("fe80::1%eth0")
    address = _own_address()
    if address is None:
        pytest.skip("this machine has no address besides loopback")
    with edge(
        shipped_repository(), "127.0.0.1:1", *TASK, "--host", "0.0.0.0", "--insecure"
    ) as service:
        async with aiohttp.ClientSession() as session:
            base = f"http://{address}:{service.port}/v1/streams"
            async with session.post(base, json={"suite": "none"}) as reply:
                assert reply.status == 400
                assert "SRTP" in (await reply.json())["error"]["message"]
            async with session.post(base, json={}) as reply:
                body = await reply.json()
                assert reply.status == 201 and body["address"]["host"] == address
                assert "warning" in body


def _own_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if found.startswith("127.") else found
