"""NVIDIA's Triton as the data center: of a gateway that hands on, and of an agent.

Runs where HAWKVISION_TRITON names a virtual environment with the wheel `nvidia-pytriton`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from hawkvision.client import Client
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.inference import parse_reply
from loadtest.bench.triton import why_absent
from loadtest.peers.tritonserver import Triton
from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.upstreams.kinds import hosted, stub_of
from tests.dc_gateway.upstreams.triton_server import kill, port_of, start_triton
from tests.models import LABELS, coloured_jpeg
from tests.processes import HANGS_S, edge

Code = grpc.StatusCode
_S = 60.0
_ENVIRONMENT = os.environ.get("HAWKVISION_TRITON")
_WHY = "HAWKVISION_TRITON is not set"
if _ENVIRONMENT is not None:
    _WHY = why_absent(Path(_ENVIRONMENT)) or ""
pytestmark = pytest.mark.skipif(_WHY != "", reason=f"Triton upstream is NOT TESTED here: {_WHY}")


def started(repository: Path, folder: Path, port: int = 0) -> Triton:
    assert _ENVIRONMENT is not None
    return start_triton(Path(_ENVIRONMENT), repository, "tiny", folder, port)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("triton")


@pytest.fixture(scope="module")
def triton(repository: Path, folder: Path) -> Iterator[list[Triton]]:
    """The last one is the one that runs."""
    running = [started(repository, folder / "first")]
    yield running
    running[-1].stop()


@pytest.fixture(scope="module")
def stub(triton: list[Triton], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Of a gateway that holds nothing itself."""
    empty = tmp_path_factory.mktemp("empty")
    with (
        hosted(empty, upstreams=(triton[-1].grpc,)) as gateway,
        stub_of(gateway.address) as found,
    ):
        yield found


def label_of(reply: messages.ModelInferResponse) -> list[str]:
    rows = parse_reply(reply).outputs["probabilities"]
    return [LABELS[index] for index in rows.argmax(axis=1)]


def test_a_gateway_hands_on_to_it(stub: Any) -> None:
    asked = infer_request(*(coloured_jpeg(label, seed=1, noise=5.0) for label in LABELS))
    reply = stub.ModelInfer(asked, timeout=_S)
    assert (reply.model_name, reply.model_version, label_of(reply)) == ("tiny", "1", list(LABELS))


def test_its_refusals_come_in_our_words(stub: Any) -> None:
    for request, code, said in (
        (infer_request(b"no image"), Code.INVALID_ARGUMENT, "unsupported_image: "),
        (infer_request(b"", model="nothing"), Code.NOT_FOUND, "unknown_task: "),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request, timeout=_S)
        assert caught.value.code() is code
        assert str(caught.value.details()).startswith(said)


def test_its_own_descriptions_come_through(stub: Any) -> None:
    metadata = stub.ModelMetadata(messages.ModelMetadataRequest(name="tiny"), timeout=_S)
    config = stub.ModelConfig(messages.ModelConfigRequest(name="tiny"), timeout=_S).config
    ready = stub.ModelReady(messages.ModelReadyRequest(name="tiny"), timeout=_S).ready
    asked = messages.ModelStatisticsRequest(name="tiny")
    (counted,) = stub.ModelStatistics(asked, timeout=_S).model_stats
    assert (metadata.platform, config.backend, ready, counted.name) == (
        "python",
        "python",
        True,
        "tiny",
    )


def test_agents_answer_all_while_it_is_dead_and_ask_it_again_when_it_is_back(
    repository: Path, folder: Path, triton: list[Triton]
) -> None:
    with ExitStack() as stack:
        options = ("--no-control", "--audit-share", "0")
        agent = stack.enter_context(edge(repository, triton[-1].grpc, *options))
        client = stack.enter_context(Client(f"http://{agent.address}"))

        def ask(seed: int = 0) -> Any:
            return client.classify(coloured_jpeg("red", seed=seed or unsure), accuracy=0.98)

        unsure = next(seed for seed in range(1, 1000) if ask(seed).escalated)

        def until(served_by: str) -> Any:
            end = time.monotonic() + HANGS_S
            while (answer := ask()).served_by != served_by and time.monotonic() < end:
                time.sleep(0.05)
            return answer

        before = until("dc")
        assert (before.served_by, before.degraded, before.certified) == ("dc", None, True)
        kill(triton[-1])
        alone = ask()
        assert (alone.served_by, alone.certified) == ("edge", False)
        assert alone.degraded in ("dc_unreachable", "deadline")
        triton.append(started(repository, folder / "second", port_of(triton[0])))
        after = until("dc")
        assert (after.served_by, after.degraded, after.certified) == ("dc", None, True)
