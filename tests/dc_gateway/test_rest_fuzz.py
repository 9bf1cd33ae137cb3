"""Whatever is sent to a gateway over REST: never 500, whoever has the model, and it goes on."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dc_gateway.http import asking
from tests.dc_gateway.upstreams.kinds import Hosted, hosted
from tests.models import coloured_jpeg
from tests.oip.calls import LENGTH

RED = coloured_jpeg("red")
fuzz = settings(
    max_examples=int(os.environ.get("FUZZ", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def gateway(repository: Path) -> Iterator[Hosted]:
    """It holds `tiny`; whatever else it is asked for it hands on to another one."""
    with (
        hosted(repository) as upstream,
        hosted(repository, tasks=("tiny",), upstreams=(upstream.address,), http_port=0) as found,
    ):
        yield found


def send(served: Hosted, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    line = http.client.HTTPConnection("127.0.0.1", served.gateway.http_port, timeout=60)
    try:
        line.request(method, path, body, headers)
        reply = line.getresponse()
        reply.read()
        return reply.status
    finally:
        line.close()


def check(
    served: Hosted, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    status = send(served, method, path, body, headers or {})
    assert status in (200, 400, 404, 405, 408, 413, 415, 501, 503), status
    assert served.gateway.rest is not None
    assert served.gateway.rest.errors["internal"] == 0
    head, _, whole = asking(RED).partition(b"\r\n\r\n")
    length = head.decode().partition(f"{LENGTH}: ")[2]
    assert send(served, "POST", "/v2/models/tiny/infer", whole, {LENGTH: length}) == 200


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
DATATYPES = ("BYTES", "UINT8", "INT64", "UINT64", "FP16", "FP32", "FP64", "BOOL", "BF16", "X")
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["image", "x"]) | st.text(max_size=5),
        "datatype": st.sampled_from(DATATYPES),
        "shape": st.lists(st.integers(0, 3), max_size=3),
        "data": st.lists(values, max_size=4),
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=2)},
    optional={
        "id": scalars,
        "parameters": st.dictionaries(
            st.sampled_from(["accuracy", "deadline_ms", "timeout", "priority", "from_rung", "x"]),
            scalars,
            max_size=3,
        ),
        "outputs": st.lists(st.fixed_dictionaries({"name": st.text(max_size=5)}), max_size=2),
    },
)
MODELS = st.sampled_from(["tiny", "elsewhere", "t\x00", "ä"]) | st.text(min_size=1, max_size=9)


@fuzz
@given(MODELS, requests)
def test_no_tensors_are_a_fault(gateway: Hosted, model: str, asked: dict[str, Any]) -> None:
    body = json.dumps(asked).encode()
    check(gateway, "POST", f"/v2/models/{quote(model, safe='')}/infer", body)


@fuzz
@given(MODELS, st.binary(max_size=200), st.text(max_size=8) | st.integers(-1, 300).map(str))
def test_no_bytes_are_a_fault(gateway: Hosted, model: str, body: bytes, length: str) -> None:
    said = {LENGTH: quote(length)}
    check(gateway, "POST", f"/v2/models/{quote(model, safe='')}/infer", body, said)


@fuzz
@given(
    MODELS | st.binary(min_size=1, max_size=5),
    st.sampled_from(["", "/ready", "/config", "/stats", "/versions/1", "/versions/%ff/ready"]),
    st.text(max_size=12),
)
def test_no_name_or_query_is_a_fault(
    gateway: Hosted, model: str | bytes, what: str, query: str
) -> None:
    path = f"/v2/models/{quote(model, safe='')}{what}?{quote(query, safe='=&')}"
    check(gateway, "GET", path)


@fuzz
@given(MODELS, st.sampled_from(["load", "unload"]), st.binary(max_size=40) | st.just(b"{}"))
def test_no_change_is_a_fault(gateway: Hosted, model: str, change: str, body: bytes) -> None:
    name = "elsewhere" if model == "tiny" else model
    path = f"/v2/repository/models/{quote(name, safe='')}/{change}"
    check(gateway, "POST", path, body)
    check(gateway, "POST", "/v2/repository/index", body)
