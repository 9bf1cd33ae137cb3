"""Ports that processes share, and share with nobody else."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import pytest

from hawkvision.serving.ports import SPREADS, SharedPort, udp_socket

BOTH = [pytest.param(True, marks=pytest.mark.skipif(not SPREADS, reason="Linux")), False]
KINDS: list[Callable[..., SharedPort]] = [SharedPort.tcp, SharedPort.udp]


@pytest.mark.parametrize("spreads", BOTH)
def test_every_connection_comes_to_somebody_who_listens(spreads: bool) -> None:
    port = SharedPort.tcp("127.0.0.1", 0, spreads)
    with contextlib.ExitStack() as stack:
        stack.callback(port.close)
        listeners = [stack.enter_context(sock) for _ in range(3) for sock in port.open()]
        for _ in range(30):
            stack.enter_context(socket.create_connection(("127.0.0.1", port.port), timeout=5))
        accepted = 0
        for listener in listeners:
            with contextlib.suppress(BlockingIOError):
                while True:
                    stack.enter_context(listener.accept()[0])
                    accepted += 1
        assert accepted == 30


@pytest.mark.parametrize("spreads", BOTH)
def test_every_datagram_comes_to_a_worker(spreads: bool) -> None:
    port = SharedPort.udp("127.0.0.1", 0, spreads)
    with contextlib.ExitStack() as stack:
        stack.callback(port.close)
        sockets = [stack.enter_context(sock) for _ in range(3) for sock in port.open()]
        port.workers_hold()
        for _ in range(30):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.sendto(b"x", ("127.0.0.1", port.port))
        received = 0
        for sock in sockets:
            with contextlib.suppress(BlockingIOError):
                while sock.recv(10):
                    received += 1
        assert received == 30


@pytest.mark.parametrize("spreads", BOTH)
@pytest.mark.parametrize("make", KINDS)
def test_a_port_is_kept_and_not_shared_with_others(
    make: Callable[..., SharedPort], spreads: bool
) -> None:
    port = make("127.0.0.1", 0, spreads)
    opened = port.open()
    try:
        with pytest.raises(OSError, match="in use"):
            make("127.0.0.1", port.port, spreads)
    finally:
        for sock in opened:
            sock.close()
        port.close()
    again = make("127.0.0.1", port.port, spreads)  # and now it is free
    again.close()


def test_a_host_with_several_addresses_has_one_port_on_all() -> None:
    port = SharedPort.tcp("localhost", 0)
    opened = port.open()
    assert {sock.getsockname()[1] for sock in opened} == {port.port}
    for sock in opened:
        sock.close()
    port.close()


def test_a_udp_socket_alone_shares_with_nobody() -> None:
    with udp_socket("127.0.0.1", 0) as sock, pytest.raises(OSError, match="in use"):
        SharedPort.udp("127.0.0.1", sock.getsockname()[1])
