"""The emulated link: its model, and the kernel's own packets across it."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.lossy import SIZES, summarise
from loadtest.bench.lossy_client import Sample
from loadtest.link.model import Direction, Fades, LinkSettings, both_ways
from loadtest.link.namespaces import FAR_ADDRESS, linked_pair, why_not
from loadtest.link.relay import TcpRelay, UdpRelay


@given(st.lists(st.integers(40, 1500), min_size=1, max_size=50), st.floats(1e5, 1e9))
def test_packets_are_serialised_at_the_rate_in_order(sizes: list[int], rate: float) -> None:
    settings = LinkSettings(rate_bps=rate, delay_s=0.02, queue_s=1e6)
    direction = Direction(settings, Fades(settings, 1), 1)
    times = [direction.send(size, 0.0) for size in sizes]
    assert all(time is not None for time in times)
    assert times == sorted(time for time in times if time is not None)
    assert times[-1] == pytest.approx(0.02 + sum(sizes) * 8 / rate)


def test_a_full_queue_drops() -> None:
    settings = LinkSettings(rate_bps=1e6, queue_s=0.05)
    direction = Direction(settings, Fades(settings, 1), 1)
    arrived = [direction.send(1250, 0.0) for _ in range(20)]
    assert sum(time is not None for time in arrived) == 6  # 10 ms each; 50 ms may wait
    assert direction.dropped == 14


def test_the_share_lost_is_the_share_asked() -> None:
    settings = LinkSettings(rate_bps=1e9, loss=0.05)
    direction = Direction(settings, Fades(settings, 1), 1)
    lost = sum(direction.send(100, 0.001 * index) is None for index in range(20_000))
    assert 0.045 < lost / 20_000 < 0.055


def test_fades_have_their_length_and_share_and_meet_both_ways_at_once() -> None:
    settings = LinkSettings(rate_bps=1e9, fade_mean_s=0.03, fade_share=0.1)
    up, down = both_ways(settings, 3)
    dark = []
    for tick in range(400_000):
        now = tick * 0.0005
        lost = up.send(40, now) is None
        assert lost == (down.send(40, now) is None)
        dark.append(lost)
    starts = sum(one and not before for before, one in itertools.pairwise(dark))
    assert 0.07 < sum(dark) / len(dark) < 0.13
    assert 0.02 < sum(dark) * 0.0005 / starts < 0.04


_SERVER = """
import socket
with socket.create_server(("", 9999)) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    while data := peer.recv(65536):
        peer.sendall(data)
"""
_CLIENT = f"""
import socket, time
with socket.create_connection(("{FAR_ADDRESS}", 9999)) as peer:
    for _ in range(5):
        start = time.perf_counter()
        peer.sendall(b"x" * 1000)
        peer.recv(65536)
        print(time.perf_counter() - start)
"""


@pytest.mark.skipif(why_not() is not None, reason=f"no emulated link: {why_not()}")
def test_tcp_crosses_namespaces_with_the_delay() -> None:
    with linked_pair(LinkSettings(rate_bps=15e6, delay_s=0.02)) as pair:
        server = subprocess.Popen(
            pair.in_far([sys.executable, "-c", _SERVER]), stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        with server.stdout:
            assert server.stdout.readline() == "ready\n"
            done = subprocess.run(
                pair.in_near([sys.executable, "-c", _CLIENT]),
                capture_output=True,
                text=True,
                check=True,
            )
        assert server.wait(10) == 0
    times = [float(line) for line in done.stdout.split()]
    assert 0.0405 < min(times) < 0.08


def test_cells_count_what_is_unanswered_as_late() -> None:
    samples = [
        Sample(0, "lossy", 50.0, "a", False, None, 0.0),
        Sample(1, "lossy", 120.0, "b", True, "loss", 0.5),
        Sample(0, "lossy", None),
        Sample(1, "http_bbr", 80.0, "a"),
    ]
    reference = {"labels": ["a", "a"], "aliases": {"n1": "a"}}
    cells = summarise(SIZES[0], "0.05", samples, reference, [(b"x" * 10, "n1"), (b"y" * 20, "b")])
    assert [cell["transport"] for cell in cells] == ["http_bbr", "lossy"]
    lossy = cells[1]
    assert (lossy["by_deadline"], lossy["unanswered"], lossy["n"]) == (0.3333, 1, 3)
    assert (lossy["top1"], lossy["accuracy"], lossy["accuracy_undamaged"]) == (0.5, 1.0, 0.5)
    assert (lossy["degraded_rate"], lossy["bytes"]) == (0.5, 15)


def test_without_root_relays_carry_both_protocols() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", port))
            settings = LinkSettings(rate_bps=15e6, delay_s=0.02)
            agent = ("127.0.0.1", port)
            with UdpRelay(agent, settings) as lossy, TcpRelay(agent, settings) as reliable:
                near = socket.create_connection(("127.0.0.1", reliable.port), timeout=5)
                far, _ = server.accept()
                far.settimeout(5)
                udp.settimeout(5)
                with near, far, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                    start = time.monotonic()
                    near.sendall(b"x" * 15_000)
                    got = b""
                    while len(got) < 15_000:
                        got += far.recv(65_536)
                    assert 0.027 < time.monotonic() - start < 0.2  # 20 ms and 8 ms on the wire
                    far.sendall(b"back")
                    assert near.recv(10) == b"back"
                    start = time.monotonic()
                    out.sendto(b"hello", ("127.0.0.1", lossy.port))
                    assert udp.recv(10) == b"hello"
                    assert time.monotonic() - start > 0.019
