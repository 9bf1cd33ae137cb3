"""Bodies over real sockets: bytes are charged as they arrive, slow and odd ones are refused."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edge_agent.agent import Agent
from hawkvision.serving.http.bodies import BodyLimits
from tests.edge_agent.agents import exchange, read_reply, request, started
from tests.models import coloured_jpeg

IMAGE = coloured_jpeg("red")
CLASSIFY = "/v1/classify?accuracy=0.5"
APP = {"task": "tiny", "accuracy": 0.7}


@pytest.fixture
async def agent(tiny_repository: Path) -> AsyncIterator[Agent]:
    async with started(tiny_repository) as agent:
        yield agent


@pytest.fixture
async def impatient(tiny_repository: Path) -> AsyncIterator[Agent]:
    async with started(tiny_repository, body_timeout_s=0.2) as agent:
        yield agent


def declared(path: str, size: int, *headers: str, method: str = "POST") -> bytes:
    """The head of a request whose body is still to come."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {size}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


class Upload:
    """A connection on which a body comes when the test says so."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def begin(cls, agent: Agent, head: bytes) -> Upload:
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.url.rpartition(":")[2])
        upload = cls(reader, writer)
        await upload.send(head)
        return upload

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def abort(self) -> None:
        self.writer.transport.abort()


async def test_bodies_that_are_declared_but_not_sent_take_nobody_s_room(agent: Agent) -> None:
    most = agent.config.max_body_bytes
    uploads = [await Upload.begin(agent, declared(CLASSIFY, most)) for _ in range(40)]
    await asyncio.sleep(0.05)
    assert agent.bodies.held == 0
    for _ in range(20):
        assert (await exchange(agent, request("POST", CLASSIFY, IMAGE))).status == 200
    for upload in uploads:
        upload.abort()


async def test_bytes_that_are_held_are_charged_and_given_back(tiny_repository: Path) -> None:
    async with started(tiny_repository, max_buffered_bytes=100_000) as agent:
        upload = await Upload.begin(agent, declared(CLASSIFY, 90_000))
        await upload.send(bytes(80_000))
        await until(lambda: agent.bodies.held == 80_000)
        refused = await exchange(agent, request("POST", CLASSIFY, bytes(30_000)))
        assert (refused.status, refused.code) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert (await exchange(agent, request("POST", CLASSIFY, IMAGE))).status == 200
        assert agent.bodies.held == 80_000
        await upload.send(bytes(10_000))
        assert (await read_reply(upload.reader)).status == 415
        assert agent.bodies.held == 0
        upload.abort()


@pytest.mark.parametrize(
    ("method", "path"), [("POST", CLASSIFY), ("PUT", "/v1/apps/gate"), ("POST", "/v1/streams")]
)
async def test_aborted_uploads_leave_nothing_behind(agent: Agent, method: str, path: str) -> None:
    uploads = [await Upload.begin(agent, declared(path, 60_000, method=method)) for _ in range(20)]
    for upload in uploads:
        await upload.send(bytes(1000))
    await until(lambda: agent.bodies.held == 20 * 1000)
    for upload in uploads:
        upload.abort()
    await until(lambda: agent.bodies.held == 0 and agent.entrance.idle.is_set())
    assert (
        "hawkvision_body_bytes 0.0"
        in (await exchange(agent, request("GET", "/metrics"))).body.decode()
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CLASSIFY),
        ("POST", "/v1/feedback"),
        ("PUT", "/v1/apps/gate"),
        ("POST", "/v1/streams"),
    ],
)
async def test_a_slow_body_is_a_timeout_on_every_route(
    impatient: Agent, method: str, path: str
) -> None:
    reply = await exchange(impatient, declared(path, 1000, method=method), b"{")
    assert (reply.status, reply.code) == (408, "request_timeout")
    assert reply.headers["connection"] == "close"


async def test_a_body_that_trickles_is_cut_off_long_before_its_time_is_over(
    tiny_repository: Path,
) -> None:
    async with started(tiny_repository, body_timeout_s=600.0, body_least_rate=50_000.0) as agent:
        upload = await Upload.begin(agent, declared(CLASSIFY, 30_000_000))

        async def trickle() -> None:
            while True:
                await upload.send(b"x")
                await asyncio.sleep(0.05)

        sending = asyncio.create_task(trickle())
        async with asyncio.timeout(100):
            reply = await read_reply(upload.reader)
        sending.cancel()
        assert (reply.status, reply.code) == (408, "request_timeout")
        upload.abort()


def test_the_time_for_more_of_a_body_grows_with_what_came() -> None:
    limits = BodyLimits(2**25, timeout_s=10.0, least_rate=1000.0, max_batch=8)
    assert limits.due_s(0) == 2.0
    assert limits.due_s(3000) == 5.0
    assert limits.due_s(10**9) == 10.0


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "GZIP", "x-nonsense"])
async def test_coded_images_are_refused_before_they_are_read(agent: Agent, coding: str) -> None:
    reply = await exchange(agent, declared(CLASSIFY, 6_000_000, f"Content-Encoding: {coding}"))
    assert (reply.status, reply.code) == (415, "unsupported_coding")
    assert "as they are" in reply.json["error"]["hint"]


async def test_a_coded_image_does_not_end_a_connection_that_was_read_to_its_end(
    agent: Agent,
) -> None:
    upload = await Upload.begin(
        agent,
        request("POST", CLASSIFY, gzip.compress(IMAGE), "Content-Encoding: gzip")
        + request("POST", CLASSIFY, IMAGE, "Content-Encoding: identity"),
    )
    statuses = [(await read_reply(upload.reader)).status for _ in range(2)]
    assert statuses == [415, 200]
    upload.abort()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "identity"])
async def test_coded_json_is_read(agent: Agent, coding: str) -> None:
    plain = json.dumps(APP).encode()
    coders: dict[str, Callable[[bytes], bytes]] = {"deflate": zlib.compress, "identity": bytes}
    coded = coders.get(coding, gzip.compress)(plain)
    reply = await exchange(
        agent, request("PUT", "/v1/apps/gate", coded, f"Content-Encoding: {coding}")
    )
    assert (reply.status, reply.json["accuracy"]) == (200, 0.7)


@pytest.mark.parametrize(
    ("body", "coding", "status", "code"),
    [
        (gzip.compress(b"[" * 10_000_000, mtime=0), "gzip", 413, "payload_too_large"),
        (gzip.compress(b'{"x": 1}', mtime=0)[:-9], "gzip", 400, "invalid_request"),
        (b'{"task": "tiny"}', "gzip", 400, "invalid_request"),
        (b"", "gzip", 400, "invalid_request"),
        (b'{"task": "tiny"}', "br", 415, "unsupported_coding"),
        (b" " * 70_000, "identity", 413, "payload_too_large"),
        (b"", "identity", 400, "invalid_request"),
        (b"\xff", "identity", 400, "invalid_request"),
        (b"[" * 60_000, "identity", 400, "invalid_request"),
    ],
)
async def test_json_that_cannot_be_read_is_refused(
    agent: Agent, body: bytes, coding: str, status: int, code: str
) -> None:
    reply = await exchange(
        agent, request("PUT", "/v1/apps/gate", body, f"Content-Encoding: {coding}")
    )
    assert (reply.status, reply.code) == (status, code)


async def test_chunks_that_are_none_are_the_client_s_fault(impatient: Agent) -> None:
    head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    sent = (head, b"5\r\nhello\r\n", b"zz\r\nnonsense\r\n")
    assert (await exchange(impatient, *sent, pause_s=0.02)).status in (400, 408)


async def test_a_chunked_body_is_read(agent: Agent) -> None:
    head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = [
        f"{len(part):x}\r\n".encode() + part + b"\r\n"
        for part in (IMAGE[:100], IMAGE[100:101], IMAGE[101:])
    ]
    reply = await exchange(agent, head, *chunks, b"0\r\n\r\n", pause_s=0.01)
    assert (reply.status, reply.json["label"]) == (200, "red")


def form(*parts: bytes) -> bytes:
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return request("POST", CLASSIFY, body, "Content-Type: multipart/form-data; boundary=b")


HEADER = b'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (form(HEADER + IMAGE), 200),
        (form(HEADER.replace(b"a.jpg", b"a" * 9000) + IMAGE), 200),
        (
            form(
                b'Content-Disposition: form-data; name="_charset_"\r\n\r\n' + b"\xff" * 100,
                HEADER + IMAGE,
            ),
            200,
        ),
        (form(b'Content-Disposition: form-data; name="_charset_"\r\n\r\nutf-8'), 400),
        (form(b"no colon\r\n\r\n" + IMAGE), 400),
        (form(b"Content-Type: multipart/mixed\r\n\r\n" + IMAGE), 400),
        (form(), 400),
        (request("POST", CLASSIFY, IMAGE, "Content-Type: multipart/form-data"), 400),
    ],
)
async def test_odd_forms_are_read_or_refused(agent: Agent, sent: bytes, status: int) -> None:
    reply = await exchange(agent, sent)
    assert reply.status == status
    assert status != 200 or reply.json["label"] == "red"


def chunked(chunks: list[bytes], extension: bytes = b"") -> bytes:
    head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(one), extension, one) for one in chunks)
    return head + body + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        chunked([b"x"] * 200_000),
        chunked([b"x"] * 500, b";" + b"e" * 8000),
    ],
    ids=["chunks of a byte", "long extensions"],
)
@pytest.mark.parametrize("piece", [1400, 10_000_000])
async def test_chunks_that_waste_the_loop_s_time_are_refused_early(
    agent: Agent, sent: bytes, piece: int
) -> None:
    upload = await Upload.begin(agent, sent[:100])
    await until(lambda: not agent.entrance.idle.is_set())
    for start in range(100, len(sent), piece):
        upload.writer.write(sent[start : start + piece])
    reply = await read_reply(upload.reader)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert "chunks are too small" in reply.json["error"]["message"]
    upload.abort()


async def test_small_chunks_that_carry_something_are_read(agent: Agent) -> None:
    image = coloured_jpeg("red", size=(900, 700))
    assert len(image) > 2 * 16 * 1024 / 20
    pieces = [image[start : start + 20] for start in range(0, len(image), 20)]
    reply = await exchange(agent, chunked(pieces))
    assert (reply.status, reply.json["label"]) == (200, "red")


async def test_what_cannot_be_read_is_told_in_json_and_fills_no_log(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    for sent in (
        b"nonsense\r\n\r\n",
        request("GET", "/" + "x" * 9000),
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        reply = await exchange(agent, sent)
        assert 400 <= reply.status < 500
        assert reply.json["error"]["hint"]
    upload = await Upload.begin(agent, declared(CLASSIFY, 60_000))
    await upload.send(bytes(1000))
    await until(lambda: agent.bodies.held == 1000)
    upload.abort()
    await until(lambda: agent.connections.open == 0 and agent.entrance.idle.is_set())
    assert not caplog.records
