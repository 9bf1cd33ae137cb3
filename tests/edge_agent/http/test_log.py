"""A client's mistakes are no lines of the agent's log, however many it makes."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import pytest

from hawkvision.client import Client
from tests.certificates import Authority
from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import edge

ASK = b"POST /v1/classify HTTP/1.1\r\nHost: a\r\n"
MISTAKES = (
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x00\xff\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nB: " + b"b" * 9000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nNo Colon\r\n\r\n",
    ASK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ASK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ASK + b"Content-Length: x\r\n\r\n",
    ASK + b"Content-Length: 9999\r\n\r\nabc",
    ASK + b"Content-Length: 3\r\n\r\nabc",
    ASK + b"Content-Type: multipart/form-data; boundary=a\r\nContent-Length: 6\r\n\r\n--b\r\n\r\n",
    b"POST /v1/feedback HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{no}}",
    b"DELETE /v1/classify HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /v1/tasks/%ff%00/curve HTTP/1.1\r\nHost: a\r\n\r\n",
)


@pytest.mark.parametrize("level", ["info", "debug"])
def test_mistakes_are_no_tracebacks(level: str, tmp_path: Path) -> None:
    repository = build_tiny_repository(tmp_path)
    with edge(repository, "127.0.0.1:9", "--log-level", level) as agent:
        for mistake in MISTAKES:
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", agent.port), 20) as client:
                    client.sendall(mistake)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
        with Client(f"http://{agent.address}") as user:
            assert user.classify(coloured_jpeg("red"), accuracy=0.5).label == "red"
        assert agent.terminate() == 0
        output = agent.output
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if re.match(r"\d{4}-", line)]
    said = [line for line in lines if " DEBUG " not in line and ".logs: " not in line]
    assert len(said) == 4 and "ready" in said[1], said  # and drain begins, drain ends
    assert "rung edge: engine onnx asked, cpu given" in said[0]
    assert (len(lines) > len(said)) is (level == "debug")


def test_nor_is_what_is_no_tls(tmp_path: Path) -> None:
    ours = Authority.make(tmp_path)
    repository = build_tiny_repository(tmp_path / "tasks")
    tls = ("--tls-cert", str(ours.certificate), "--tls-key", str(ours.key))
    with edge(repository, "127.0.0.1:9", *tls) as agent:
        for mistake in MISTAKES[:4]:
            with socket.create_connection(("127.0.0.1", agent.port), 20) as client:
                client.sendall(mistake)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)
        stranger = ssl.create_default_context()
        with (
            socket.create_connection(("127.0.0.1", agent.port), 20) as raw,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            stranger.wrap_socket(raw, server_hostname="localhost")
        assert agent.terminate() == 0
        output = agent.output
    assert "Traceback" not in output and "ERROR" not in output, output
