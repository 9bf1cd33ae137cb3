"""Replicas of a real Ray Serve that are killed: every call gets its answer, or soon a status.

Runs where Ray is installed (`pip install "hawkvision[ray]"`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.upstreams.kinds import HAS_RAY, stub_of
from tests.dc_gateway.upstreams.ray_cluster import ray_gateway
from tests.models import coloured_jpeg
from tests.processes import HANGS_S

pytestmark = pytest.mark.skipif(
    not HAS_RAY, reason="Ray is not installed: dying replicas are NOT TESTED here"
)
Code = grpc.StatusCode
REQUEST = infer_request(coloured_jpeg("red"))


@pytest.fixture(scope="module")
def stub(repository: Path) -> Iterator[Any]:
    """Of one ingress before one replica of the rung."""
    with ray_gateway(repository, max_replicas=1) as address, stub_of(address) as found:
        found.ModelInfer(REQUEST, timeout=HANGS_S)
        yield found


def killed(deployment: str) -> int:
    """The process that was its replica; other tests may have a Ray of their own."""
    name = f"ServeReplica:default:{deployment}"
    (found,) = [
        one.pid
        for one in psutil.Process().children(recursive=True)
        if name in " ".join(one.cmdline())
    ]
    os.kill(found, signal.SIGKILL)
    return int(found)


def test_calls_wait_within_their_deadline_for_the_next_replica_of_a_rung(stub: Any) -> None:
    killed("tiny-dc")
    for _ in range(3):
        assert stub.ModelInfer(REQUEST, timeout=HANGS_S).model_name == "tiny"


def test_when_the_only_ingress_dies_calls_end_with_a_status_or_are_answered(stub: Any) -> None:
    killed("gateway")
    end = time.monotonic() + HANGS_S
    while time.monotonic() < end:
        try:
            stub.ModelInfer(REQUEST, timeout=HANGS_S)
        except grpc.RpcError as error:
            assert error.code() in (Code.INTERNAL, Code.UNAVAILABLE)
        else:
            return
    pytest.fail("it never answered again")
