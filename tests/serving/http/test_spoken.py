"""Whether a client has said anything, before a byte of it is read."""

from __future__ import annotations

import select
import socket
import sys

import pytest

from hawkvision.serving.http.spoken import has_spoken


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say")
def test_a_byte_that_nobody_has_read_counts_and_stays_counted() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert not has_spoken(accepted)
            client.sendall(b"\x16")
            select.select([accepted], [], [], 60)
            assert has_spoken(accepted)
            assert accepted.recv(1) == b"\x16"
            assert has_spoken(accepted)
        assert not has_spoken(accepted)  # it is closed


def test_of_what_is_no_tcp_nothing_is_known() -> None:
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b"x")
        assert not has_spoken(one)
