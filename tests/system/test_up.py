"""`hawkvision up` as real processes: serves, repairs, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from hawkvision.client import Client
from hawkvision.errors import HawkVisionError
from tests.certificates import Authority
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


def words(repository: Path, port: int, *more: str) -> list[str]:
    command = [sys.executable, "-m", "hawkvision.cli", "up", "--port", str(port)]
    return [*command, "--gateway-port", "0", "--model-repository", str(repository), *more]


def start(repository: Path, port: int, *more: str) -> subprocess.Popen[bytes]:
    command = words(repository, port, *more)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def pair(repository: Path) -> Iterator[Pair]:
    with paired(repository) as found:
        yield found


@contextlib.contextmanager
def paired(repository: Path, *more: str) -> Iterator[Pair]:
    port = free_port()
    process = start(repository, port, *more)
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


def test_between_the_two_there_may_be_tls_with_certificates_of_both(
    repository: Path, tmp_path: Path
) -> None:
    one = Authority.make(tmp_path)
    edge = one.sign("edge", "DNS:edge", usage="clientAuth")
    options = {
        "--gateway-tls-cert": one.certificate,
        "--gateway-tls-key": one.key,
        "--gateway-client-ca": one.ca,
        "--gateway-ca": one.ca,
        "--gateway-cert": edge.certificate,
        "--gateway-key": edge.key,
    }
    given = [str(word) for pair in options.items() for word in pair]
    with paired(repository, *given) as pair, Client(pair.url) as client:
        assert escalates(client)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_both(pair: Pair, number: signal.Signals) -> None:
    children = pair.children()
    assert set(children) == {"edge", "dc"}
    pair.process.send_signal(number)
    assert pair.process.wait(_PATIENCE_S) == 0
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
        wait_until(lambda: pair.children().get("edge", old).pid != old.pid)
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


def test_several_workers_serve_and_all_end(repository: Path) -> None:
    command = words(repository, free_port(), "--workers", "2")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        ready = next(line for line in process.stdout if line.startswith("edge agent ready"))
        assert ready.endswith("; 2 workers)\n")
        with Client(ready.split()[4]) as client:
            assert escalates(client)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) == 4
        process.terminate()
        assert process.wait(_PATIENCE_S) == 0
        assert not any(child.is_running() for child in family)
    finally:
        process.kill()
        process.communicate()


def test_the_url_is_free_again_after_the_end(pair: Pair) -> None:
    pair.process.terminate()
    pair.process.wait(10)
    with Client(pair.url) as client, pytest.raises(HawkVisionError, match="no agent answers"):
        client.tasks()


def test_what_it_prints_works_as_printed_and_options_reach_the_edge(tmp_path: Path) -> None:
    """In a folder with a space and a comma, on all addresses, with a file of the edge's options."""
    folder = tmp_path / "a folder, with"
    folder.mkdir()
    repository = build_tiny_repository(folder / "tasks")
    (folder / "edge.toml").write_text('max-body-bytes = 5000\nlog-format = "json"\n')
    (folder / "photo.jpg").write_bytes(coloured_jpeg("red"))
    options = (
        "--host",
        "::",
        "--insecure",
        "--store",
        "off",
        "--config",
        str(folder / "edge.toml"),
    )
    process = subprocess.Popen(
        words(repository, 0, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        board = next(line for line in process.stdout if line.startswith("dashboard: "))
        printed = next(line for line in process.stdout if line.startswith("try: "))
        command = printed.removeprefix("try: ").strip()
        done = subprocess.run(
            command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert json.loads(done.stdout)["label"] == "red", (printed, done.stderr)
        url = command.rsplit("'", 2)[1].partition("/v1/")[0]
        assert board.removeprefix("dashboard: ").strip() == f"{url}/"
        with urllib.request.urlopen(f"{url}/", timeout=60) as page:
            assert page.headers["Content-Type"].startswith("text/html")
        with Client(url) as client, pytest.raises(HawkVisionError, match="5000"):
            client.classify(b"x" * 5001)
        with Client(url) as client, pytest.raises(HawkVisionError):
            client.delivered()
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    lines = [json.loads(line) for line in said.splitlines()]
    told = [line["message"] for line in lines]
    assert sum(text.startswith("ready, at ") for text in told) == 2
    assert told.count("drain ends") == 2 and {line["level"] for line in lines} == {"info"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-que", "3"), "No such option '--max-que'"),
        (("--gateway", "dc:1"), "a gateway of its own"),
        (("--max-queue", "0"), "'--max-queue'"),
        (("something",), "unexpected extra argument"),
    ],
)
def test_options_that_the_edge_refuses_start_nothing(
    repository: Path, options: tuple[str, ...], said: str
) -> None:
    done = subprocess.run(
        words(repository, 0, *options), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
