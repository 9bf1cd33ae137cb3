"""Requests whose framing two parsers may read differently: refused or closed, and nothing is left.

RFC 9112, sections 5 to 7 and 11.2. Each goes over a connection of its own, with a second request
behind it that would be smuggled past a proxy which saw one request only.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_agent.agent import Agent
from tests.edge_agent.agents import exchange, request, started
from tests.models import coloured_jpeg

POST = b"POST /v1/streams HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n"
CL = b"Content-Length: "
TE = b"Transfer-Encoding: "
CHUNKED = TE + b"chunked\r\n"
BODY = b"2\r\n{}\r\n0\r\n\r\n"

REFUSED = {
    "CL and TE": POST + CL + b"5\r\n" + CHUNKED + b"\r\n" + b"0\r\n\r\n",
    "TE and CL": POST + CHUNKED + CL + b"5\r\n\r\n" + b"0\r\n\r\n",
    "two CL": POST + CL + b"2\r\n" + CL + b"0\r\n\r\n{}",
    "two equal CL": POST + CL + b"2\r\n" + CL + b"2\r\n\r\n{}",
    "a list of CL": POST + CL + b"2, 2\r\n\r\n{}",
    "+CL": POST + CL + b"+2\r\n\r\n{}",
    "-CL": POST + CL + b"-2\r\n\r\n{}",
    "CL in hex": POST + CL + b"0x2\r\n\r\n{}",
    "CL with an underscore": POST + CL + b"1_0\r\n\r\n{}",
    "CL with a point": POST + CL + b"2.0\r\n\r\n{}",
    "CL in other digits": POST + CL + "\u0662\r\n\r\n{}".encode(),
    "CL over 64 bits": POST + CL + b"18446744073709551618\r\n\r\n{}",
    "CL of many digits": POST + CL + b"9" * 5000 + b"\r\n\r\n{}",
    "an empty CL": POST + CL + b"\r\n\r\n{}",
    "CL with a space in it": POST + CL + b"1 0\r\n\r\n{}",
    "a space before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "a tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + BODY,
    "a space before the name": POST + b" Content-Length: 2\r\n\r\n{}",
    "a folded header": POST + b"X: a\r\n b\r\n" + CL + b"2\r\n\r\n{}",
    "a folded TE": POST + TE + b"\r\n chunked\r\n\r\n" + BODY,
    "TE twice": POST + CHUNKED + TE + b"identity\r\n\r\n" + BODY,
    "TE: chunked, chunked": POST + TE + b"chunked, chunked\r\n\r\n" + BODY,
    "TE: chunked, identity": POST + TE + b"chunked, identity\r\n\r\n" + BODY,
    "TE: identity": POST + TE + b"identity\r\n\r\n{}",
    "TE: xchunked": POST + TE + b"xchunked\r\n\r\n" + BODY,
    "TE: chunkedx": POST + TE + b"chunkedx\r\n\r\n" + BODY,
    "TE: quoted": POST + TE + b'"chunked"\r\n\r\n' + BODY,
    "TE with a vertical tab": POST + TE + b"\x0bchunked\r\n\r\n" + BODY,
    "TE with a NUL": POST + TE + b"chunked\x00\r\n\r\n" + BODY,
    "TE with a trailing comma": POST + TE + b"chunked,x\r\n\r\n" + BODY,
    "TE in HTTP/1.0": POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + BODY,
    "a bare LF in the head": POST.replace(b"\r\n", b"\n") + CL + b"2\n\n{}",
    "a bare LF behind a header": POST + b"X: y\n" + CL + b"2\r\n\r\n{}",
    "a bare CR in a header": POST + b"X: y\rz\r\n" + CL + b"2\r\n\r\n{}",
    "a NUL in a header": POST + b"X: y\x00z\r\n" + CL + b"2\r\n\r\n{}",
    "a NUL in a name": POST + b"X\x00: y\r\n" + CL + b"2\r\n\r\n{}",
    "a header without colon": POST + b"nonsense\r\n" + CL + b"2\r\n\r\n{}",
    "a header without name": POST + b": x\r\n" + CL + b"2\r\n\r\n{}",
    "a chunk size of 0x2": POST + CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk size of +2": POST + CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a chunk size of -2": POST + CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a space before a chunk size": POST + CHUNKED + b"\r\n 2\r\n{}\r\n0\r\n\r\n",
    "a space behind a chunk size": POST + CHUNKED + b"\r\n2 \r\n{}\r\n0\r\n\r\n",
    "a chunk size with an underscore": POST + CHUNKED + b"\r\n0_2\r\n{}\r\n0\r\n\r\n",
    "a chunk size over 64 bits": POST + CHUNKED + b"\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
    "no chunk size": POST + CHUNKED + b"\r\n\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": POST + CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n",
    "a chunk ended by LF": POST + CHUNKED + b"\r\n2\r\n{}\n0\r\n\r\n",
    "a chunk size ended by LF": POST + CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
    "a chunk extension with LF": POST + CHUNKED + b"\r\n2;x\ny\r\n{}\r\n0\r\n\r\n",
    "a trailer without colon": POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nnonsense\r\n\r\n",
    "a trailer that is a CL": POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nContent-Length: 7\r\n\r\n",
    "no Host": b"POST /v1/streams HTTP/1.1\r\n" + CL + b"2\r\n\r\n{}",
    "two Hosts": POST + b"Host: y\r\n" + CL + b"2\r\n\r\n{}",
    "HTTP/0.9": b"GET /v2/health/live\r\n\r\n",
    "HTTP/1.2": GET.replace(b"1.1", b"1.2") + b"\r\n",
    "HTTP/3.0": GET.replace(b"1.1", b"3.0") + b"\r\n",
    "HTTP/1.10": GET.replace(b"1.1", b"1.10") + b"\r\n",
    "http/1.1": GET.replace(b"HTTP", b"http") + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    "a tab in the line": GET.replace(b"GET ", b"GET\t") + b"\r\n",
    "a space in the path": GET.replace(b"/live", b"/li ve") + b"\r\n",
    "a NUL in the path": GET.replace(b"/live", b"/li\x00ve") + b"\r\n",
    "no method": GET.removeprefix(b"GET") + b"\r\n",
    "a method of no letters": GET.replace(b"GET", b"G(T") + b"\r\n",
    "a method of 10,000 letters": GET.replace(b"GET", b"G" * 10_000) + b"\r\n",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT to nonsense": b"CONNECT /[ HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute URI that is none": b"GET http://[x HTTP/1.1\r\nHost: x\r\n\r\n",
    "an upgrade to h2c with a body": POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + CHUNKED,
}
"""Name and bytes; nothing of these may be answered as if it were in order."""

IN_ORDER = {
    "a chunk size with zeros before it": POST + CHUNKED + b"\r\n0002\r\n{}\r\n0\r\n\r\n",
    "a chunk extension": POST + CHUNKED + b'\r\n2;x="y"\r\n{}\r\n0\r\n\r\n',
    "a trailer": POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n",
    "Chunked": POST + TE + b"Chunked\r\n\r\n" + BODY,
    "an absolute URI": GET.replace(b"/v2", b"http://y/v2") + b"\r\n",
    "an upgrade to websocket": GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "two spaces in the line": GET.replace(b"GET ", b"GET  ") + b"\r\n",
    "an empty line before it": b"\r\n" + GET + b"\r\n",
}
"""Odd but unambiguous: answered, and the request behind it is the next one."""


@pytest.fixture(scope="module")
def repository(tiny_repository: Path) -> Path:
    return tiny_repository


@pytest.fixture
async def agent(repository: Path) -> AsyncIterator[Agent]:
    async with started(
        repository, body_timeout_s=0.5, head_timeout_s=0.5, idle_timeout_s=0.5
    ) as agent:
        yield agent


async def replies(agent: Agent, data: bytes) -> bytes:
    """All that comes until the agent closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.url.rpartition(":")[2])
    writer.write(data)
    try:
        async with asyncio.timeout(120):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


async def test_what_two_parsers_may_read_differently_is_refused_and_closed(agent: Agent) -> None:
    found = await asyncio.gather(*(replies(agent, data + SMUGGLED) for data in REFUSED.values()))
    wrong = {
        name: (statuses(received), received[:200])
        for name, received in zip(REFUSED, found, strict=True)
        if b'"tasks"' in received
        or len(statuses(received)) > 1
        or any(not 400 <= status < 500 for status in statuses(received))
    }
    assert not wrong
    victim = request("POST", "/v1/classify?accuracy=0.5", coloured_jpeg("red"))
    assert (await exchange(agent, victim)).json["label"] == "red"
    assert agent.metrics.registry.get_sample_value(
        "hawkvision_errors_total", {"code": "internal"}
    ) in (None, 0.0)


async def test_what_is_odd_but_clear_is_answered_and_the_next_request_too(agent: Agent) -> None:
    last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    found = await asyncio.gather(*(replies(agent, data + last) for data in IN_ORDER.values()))
    wrong = {
        name: received[:300]
        for name, received in zip(IN_ORDER, found, strict=True)
        if statuses(received) not in ([200, 200], [201, 200])
    }
    assert not wrong
