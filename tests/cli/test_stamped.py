"""When a reply came is what the kernel says, and not when somebody read it."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from hawkvision.cli.stamped import Reply, StampedConnection, came_ns, post

_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


class _Server:
    """Whoever asks is answered when the test says so."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connection = StampedConnection("127.0.0.1", self._listener.getsockname()[1], 10.0)
        self._there, _ = self._listener.accept()

    def heard(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._there.recv(65_536)
        return data

    def says(self, data: bytes) -> None:
        """Once this is back, the other side's kernel has it: loopback waits for nobody."""
        self._there.sendall(data)

    def close(self) -> None:
        self.connection.close()
        self.hang_up()
        self._listener.close()

    def hang_up(self) -> None:
        self._there.close()


@pytest.fixture
def server() -> Iterator[_Server]:
    made = _Server()
    yield made
    made.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux stamps what it receives")
def test_a_reply_came_before_it_was_read(server: _Server) -> None:
    server.connection.send(b"head", b"image")
    assert server.heard(9) == b"headimage"
    server.says(_REPLY)
    read_ns = time.time_ns()
    reply = server.connection.receive()
    assert reply is not None and (reply.status, reply.body) == (200, b"body")
    assert server.connection.sent_ns <= reply.came_ns <= read_ns


@pytest.mark.parametrize("part", [5, 25, len(_REPLY) - 1])
def test_a_part_is_no_reply(server: _Server, part: int) -> None:
    server.says(_REPLY[:part])
    assert server.connection.receive() is None
    server.says(_REPLY[part:])
    reply = server.connection.receive()
    assert isinstance(reply, Reply) and reply.body == b"body"


def test_a_large_image_goes_out_whole(server: _Server) -> None:
    image = bytes(8_000_000)
    head = post("/v1/classify?task=x", image)
    found: list[bytes] = []

    def answer() -> None:
        found.append(server.heard(len(head) + len(image)))
        server.says(_REPLY)

    there = threading.Thread(target=answer)
    there.start()
    assert server.connection.ask(head, image).status == 200
    there.join()
    assert found == [head + image]
    assert b"Content-Length: 8000000\r\n" in head


def test_who_hangs_up_is_said(server: _Server) -> None:
    server.hang_up()
    with pytest.raises(ConnectionError):
        server.connection.receive()


def test_without_a_stamp_it_came_now() -> None:
    before = time.time_ns()
    assert before <= came_ns([]) <= time.time_ns()
