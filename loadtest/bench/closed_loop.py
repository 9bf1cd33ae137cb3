"""A closed-loop load generator in a process of its own, as light as Python allows: it shares the
cores with what it measures. One thread, sockets that do not block, replies read no further than
their length.

`python -m loadtest.bench.closed_loop HOST PORT PATH IMAGE CONNECTIONS SECONDS [MARK [HEADER…]]`
prints `{"count", "other", "latency_ms": {"p50", "p99"}, "rate", "cpu_ms"}`; `other` counts answers
without MARK, by default those that did not come from the edge undegraded, `cpu_ms` is what the
generator itself took for each. A HEADER (`Name: value`) goes with every request.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from pathlib import Path

import numpy as np

_LOCAL = b'"served_by":"edge","escalated":false,"degraded":null'
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE_S = 30.0


class _Connection:
    """One keep-alive connection that sends its next request when the last is answered."""

    __slots__ = ("_got", "_request", "_rest", "began", "socket")

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self.socket = socket.create_connection((host, port), timeout=_PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(request))
        self.socket.setblocking(False)
        self._request = request
        self._got = b""
        self._rest = b""
        self.began = 0.0

    def ask(self) -> bool:
        """Send a request; whether all of it has gone."""
        self.began = time.perf_counter()
        self._rest = self._request
        return self.send()

    def send(self) -> bool:
        """Go on sending; whether all has gone."""
        sent = self.socket.send(self._rest)
        if sent == len(self._rest):
            return True
        self._rest = self._rest[sent:]
        return False

    def reply(self) -> bytes | None:
        """Read; the reply, once all of it is here."""
        block = self.socket.recv(65536)
        if not block:
            raise ConnectionError("the server closed the connection")
        data = self._got + block if self._got else block
        head = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, head + 2) if head >= 0 else None
        if length is None or len(data) < head + 4 + int(length[1]):
            self._got = data
            return None
        self._got = b""
        return data


def _run(clients: list[_Connection], seconds: float, mark: bytes) -> tuple[list[float], int]:
    """Latencies in seconds, and how many answers were without the mark."""
    poll = select.epoll()
    by_number = {client.socket.fileno(): client for client in clients}
    latencies: list[float] = []
    other = 0
    end = time.perf_counter() + seconds

    def ask(number: int, client: _Connection) -> None:
        if not client.ask():
            poll.modify(number, select.EPOLLOUT)

    for number, client in by_number.items():
        poll.register(number, select.EPOLLIN)
        ask(number, client)
    left = len(clients)
    while left:
        ready = poll.poll(_PATIENCE_S)
        if not ready:
            raise TimeoutError("no answer came")
        for number, event in ready:
            client = by_number[number]
            if event & select.EPOLLOUT:
                if client.send():
                    poll.modify(number, select.EPOLLIN)
                continue
            answer = client.reply()
            if answer is None:
                continue
            now = time.perf_counter()
            latencies.append(now - client.began)
            other += mark not in answer
            if now < end:
                ask(number, client)
            else:
                poll.unregister(number)
                client.socket.close()
                left -= 1
    return latencies, other


def main() -> None:
    """Run the connections and print the result."""
    host, port, path, image, connections, seconds = sys.argv[1:7]
    mark = sys.argv[7].encode() if len(sys.argv) > 7 else _LOCAL
    more = "".join(f"{header}\r\n" for header in sys.argv[8:])
    body = Path(image).read_bytes()
    request = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    clients = [_Connection(host, int(port), request) for _ in range(int(connections))]
    cpu_s = time.process_time()
    latencies, other = _run(clients, float(seconds), mark)
    cpu_s = time.process_time() - cpu_s
    p50, p99 = np.percentile(np.array(latencies) * 1e3, [50, 99])
    result = {
        "count": len(latencies),
        "other": other,
        "latency_ms": {"p50": float(p50), "p99": float(p99)},
        "rate": len(latencies) / float(seconds),
        "cpu_ms": cpu_s / len(latencies) * 1e3,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
