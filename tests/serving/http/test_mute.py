"""Whether a client has said nothing, before a byte of it is read."""

from __future__ import annotations

import select
import socket
import sys

import pytest

from hawkvision.serving.http.mute import is_mute


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say")
def test_a_byte_that_nobody_has_read_counts_and_stays_counted() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert is_mute(accepted)
            client.sendall(b"\x16")
            select.select([accepted], [], [], 60)
            assert not is_mute(accepted)
            assert accepted.recv(1) == b"\x16"
            assert not is_mute(accepted)
        assert not is_mute(accepted)  # it is closed


def test_of_what_is_no_tcp_nothing_is_known() -> None:
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b"x")
        assert not is_mute(one)
