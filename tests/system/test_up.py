"""`hawkvision up` as real processes: serves, repairs, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from hawkvision.client import Client
from hawkvision.errors import HawkVisionError
from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import free_port

_PATIENCE_S = 60.0


@dataclass
class Pair:
    """A running `hawkvision up`."""

    process: subprocess.Popen[bytes]
    url: str

    def children(self) -> dict[str, psutil.Process]:
        """The edge and dc processes by command."""
        named: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                words = child.cmdline()
                named |= {name: child for name in ("edge", "dc") if name in words}
        return named


def wait_until(holds: Callable[[], bool]) -> None:
    """Fails if it does not hold in the end."""
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


def start(repository: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hawkvision.cli", "up", "--port", str(port)]
    command += ["--gateway-port", "0", "--model-repository", str(repository)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def pair(repository: Path) -> Iterator[Pair]:
    port = free_port()
    process = start(repository, port)
    pair = Pair(process, f"http://127.0.0.1:{port}")
    family: list[psutil.Process] = []
    try:
        with Client(pair.url) as client:
            wait_until(lambda: client.ready() or process.poll() is not None)
        assert process.poll() is None
        family = list(pair.children().values())
        yield pair
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for child in family:
            if child.is_running():
                child.kill()


def escalates(client: Client) -> bool:
    """Whether the data center answers what the edge is unsure of."""
    highest = client.tasks()[0].highest_certifiable
    answers = [client.classify(coloured_jpeg("red", seed), accuracy=highest) for seed in range(20)]
    return any(answer.served_by == "dc" for answer in answers)


def test_it_serves_and_escalates(pair: Pair) -> None:
    with Client(pair.url) as client:
        assert client.classify(coloured_jpeg("blue"), accuracy=0.5).label == "blue"
        assert escalates(client)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_both_within_five_seconds(pair: Pair, number: signal.Signals) -> None:
    children = pair.children()
    assert set(children) == {"edge", "dc"}
    pair.process.send_signal(number)
    assert pair.process.wait(5) == 0
    assert not any(child.is_running() for child in children.values())


def test_an_ended_gateway_comes_back_while_the_edge_serves(pair: Pair) -> None:
    pair.children()["dc"].kill()
    with Client(pair.url) as client:
        assert client.classify(coloured_jpeg("green"), accuracy=0.5).label == "green"
        wait_until(lambda: escalates(client))


def test_an_ended_edge_comes_back_on_its_port(pair: Pair) -> None:
    old = pair.children()["edge"]
    old.kill()
    with Client(pair.url) as client:
        wait_until(lambda: "edge" in pair.children() and pair.children()["edge"].pid != old.pid)
        wait_until(client.ready)
        assert client.classify(coloured_jpeg("green"), accuracy=0.5).label == "green"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl(2) is Linux's")
def test_children_do_not_outlive_a_killed_parent(pair: Pair) -> None:
    children = list(pair.children().values())
    pair.process.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=_PATIENCE_S)
    assert (len(gone), alive) == (2, [])


def test_a_port_that_is_taken_ends_both_with_an_error(pair: Pair, repository: Path) -> None:
    second = start(repository, int(pair.url.rsplit(":", 1)[1]))
    assert second.wait(_PATIENCE_S) == 1
    with Client(pair.url) as client:
        assert client.ready()


def test_a_signal_before_readiness_stops_it(repository: Path) -> None:
    process = start(repository, free_port())
    wait_until(lambda: bool(psutil.Process(process.pid).children()))
    children = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) is not None
    assert not any(child.is_running() for child in children)


def test_the_url_is_free_again_after_the_end(pair: Pair) -> None:
    pair.process.terminate()
    pair.process.wait(10)
    with Client(pair.url) as client, pytest.raises(HawkVisionError, match="no agent answers"):
        client.tasks()
