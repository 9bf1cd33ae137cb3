"""Whatever a client sends, over raw sockets: never 500, and the agent goes on serving."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.agent import Agent
from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from hawkvision.embedded import LoopThread
from tests.edge_agent.agents import gateway_of, request
from tests.models import coloured_jpeg

IMAGE = coloured_jpeg("red", seed=1)
CLASSIFY = "/v1/classify?accuracy=0.5"


@dataclass
class Door:
    """A running agent as a client sees it."""

    agent: Agent

    def send(self, data: bytes, patience_s: float) -> int | None:
        """The status of the reply to these bytes; None where none comes."""
        port = int(self.agent.url.rpartition(":")[2])
        received = b""
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as client,
            contextlib.suppress(ConnectionError, TimeoutError),
        ):
            client.sendall(data)
            client.settimeout(patience_s)
            while b"\r\n" not in received and (more := client.recv(65536)):
                received += more
        words = received.split(b" ", 2)
        return int(words[1]) if len(words) > 2 else None

    def check(self, data: bytes) -> None:
        """No fault of the agent's, and it still answers."""
        assert self.send(data, 1.0) != 500
        found = self.agent.metrics.registry.get_sample_value
        assert found("hawkvision_errors_total", {"code": "internal"}) is None
        assert self.send(request("POST", CLASSIFY, IMAGE), 60.0) == 200


@pytest.fixture(scope="module")
def door(tiny_repository: Path) -> Iterator[Door]:
    """An agent in a thread of its own, with a gateway and with impatience."""
    loop = LoopThread()
    gateway = gateway_of(tiny_repository)

    async def begin() -> Agent:
        config = EdgeConfig(
            port=0,
            gateways=(await gateway.__aenter__(),),
            model_repository=tiny_repository,
            body_timeout_s=0.2,
            audit_share=0.5,
        )
        agent = Agent(config, load_tasks(config))
        await agent.start()
        return agent

    async def end(agent: Agent) -> None:
        await agent.close()
        await gateway.__aexit__(None, None, None)

    agent = loop.call(begin())
    yield Door(agent)
    loop.call(end(agent))
    loop.close()


fuzz = settings(
    max_examples=int(os.environ.get("FUZZ", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

ROUTES = (
    "/v1/classify",
    "/v1/classify?accuracy=0.93",
    "/v1/tasks",
    "/v1/tasks/tiny",
    "/v1/tasks/tiny/curve",
    "/v1/tasks/tiny/accuracy",
    "/v1/apps",
    "/v1/apps/gate",
    "/v1/apps/gate/accuracy",
    "/v1/feedback",
    "/v1/streams",
    "/v1/streams/x",
    "/v1/streams/x/results",
    "/v1/agents",
    "/v2",
    "/v2/models/tiny",
    "/v2/models/tiny/infer",
    "/v2/models/tiny/stats",
    "/v2/repository/index",
    "/v2/health/ready",
    "/metrics",
    "/",
    "*",
    "http://x:y/",
)
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"x")
NAMES = (
    b"Content-Type",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Content-Encoding",
    b"Inference-Header-Content-Length",
    b"Expect",
    b"Upgrade",
    b"Connection",
    b"Authorization",
    b"traceparent",
    b"Last-Event-ID",
    b"Host",
    b"Cookie",
    b"Range",
    b"If-Modified-Since",
    b"X-Forwarded-For",
)
VALUES = (
    b"",
    b"0",
    b"5",
    b"-1",
    b"99999999999999999999",
    b"chunked",
    b"gzip, chunked",
    b"gzip",
    b"identity",
    b"100-continue",
    b"websocket",
    b"upgrade",
    b"close",
    b"multipart/form-data; boundary=b",
    b"multipart/form-data",
    b"multipart/mixed; boundary=b",
    b"application/json; charset=nonsense",
    b"image/jpeg; \xff=\xfe",
    b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01",
    b"bytes=0-",
    b"\xff\xfe",
    b"x" * 9000,
)
BODIES = (
    b"",
    IMAGE,
    IMAGE[:200],
    b"{}",
    b"[[",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"--b\r\n\r\nx\r\n--b--",
    b"--b\r\nno colon\r\n\r\nx\r\n--b--",
    b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\n\xff\r\n--b--',
    b'--b\r\nContent-Disposition: form-data; name="x"; filename="'
    + b"a" * 9000
    + b'"\r\n\r\nx\r\n--b--',
)
texts = st.binary(max_size=12).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
paths = st.builds(
    lambda route, rest: route.encode() + rest,
    st.sampled_from(ROUTES),
    st.sampled_from([b"", b"/", b"//", b"?", b"%ff", b"%zz", b"/%2e%2e", b"\xff", b"#x"]) | texts,
)
headers = st.lists(
    st.tuples(st.sampled_from(NAMES) | texts, st.sampled_from(VALUES) | texts), max_size=5
)


@fuzz
@given(st.sampled_from(METHODS), paths, headers, st.sampled_from(BODIES), st.booleans())
def test_no_request_is_a_fault(
    door: Door,
    method: bytes,
    path: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    measured: bool,
) -> None:
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: x"]
    lines += [name + b": " + value for name, value in headers]
    if measured:
        lines.append(b"Content-Length: %d" % len(body))
    door.check(b"\r\n".join(lines) + b"\r\n\r\n" + body)


@fuzz
@given(st.binary(max_size=200))
def test_no_bytes_are_a_fault(door: Door, data: bytes) -> None:
    door.check(data + b"\r\n\r\n")


keys = st.sampled_from(["accuracy", "deadline_ms", "top_k", "app", "task", "link_ms"]) | st.text(
    max_size=4
)
queried = st.text(max_size=12) | st.sampled_from(
    ["0.5", "0.93", "relative:0.01", "relative:", "1e-300", "nan", "tiny", "0" * 5000, "\udcff"]
)


@fuzz
@given(
    st.sampled_from(["/v1/classify", "/v1/tasks/tiny/curve", "/v1/streams/x/results"]),
    st.lists(st.tuples(keys, queried), max_size=4),
    st.booleans(),
)
def test_no_query_is_a_fault(
    door: Door, path: str, pairs: list[tuple[str, str]], post: bool
) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    query = "".join(
        letter if 32 < ord(letter) < 127 and letter != "#" else f"%{ord(letter) % 256:02x}"
        for letter in query
    )
    method, body = ("POST", IMAGE) if post else ("GET", b"")
    door.check(request(method, f"{path}?{query}", body))


bodies = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=10)
    | st.sampled_from(["tiny", "0.8", "relative:0.02", "AES_CM_128_HMAC_SHA1_80", "none", "gate"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "task",
                    "accuracy",
                    "deadline_ms",
                    "request_id",
                    "label",
                    "class_id",
                    "app",
                    "suite",
                    "mtu",
                    "parity",
                    "resend",
                    "replies",
                    "rtt_ms",
                    "wait_ms",
                    "width",
                    "height",
                    "quality",
                    "top_k",
                    "concealment",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


@fuzz
@given(
    st.sampled_from([("PUT", "/v1/apps/gate"), ("POST", "/v1/feedback"), ("POST", "/v1/streams")]),
    bodies,
)
def test_no_json_is_a_fault(door: Door, route: tuple[str, str], body: object) -> None:
    method, path = route
    door.check(request(method, path, json.dumps(body).encode()))
