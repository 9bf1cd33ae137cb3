"""A closed-loop load generator in a process of its own, as light as raw sockets allow.

`python -m loadtest.bench.closed_loop HOST PORT PATH IMAGE CONNECTIONS SECONDS` prints
`{"count", "other", "latency_ms": {"p50", "p99"}, "rate"}`; `other` counts answers that did not
come from the edge undegraded.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np

_LOCAL = b'"served_by":"edge","escalated":false,"degraded":null'


class _Connection:
    """One keep-alive connection that sends its next request when the last is answered."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._socket = socket.create_connection((host, port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self.latencies: list[float] = []
        self.other = 0

    def run(self, end: float) -> None:
        while (start := time.perf_counter()) < end:
            self._socket.sendall(self._request)
            if _LOCAL not in self._reply():
                self.other += 1
            self.latencies.append(time.perf_counter() - start)
        self._socket.close()

    def _reply(self) -> bytes:
        data = b""
        while (head := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        fields = data[:head].lower().split(b"\r\n")
        length = next(int(f.split(b":")[1]) for f in fields if f.startswith(b"content-length:"))
        while len(data) < head + 4 + length:
            data += self._receive()
        return data

    def _receive(self) -> bytes:
        block = self._socket.recv(65536)
        if not block:
            raise ConnectionError("the server closed the connection")
        return block


def main() -> None:
    """Run the connections, each in a thread, and print the result."""
    host, port, path, image, connections, seconds = sys.argv[1:7]
    body = Path(image).read_bytes()
    request = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    clients = [_Connection(host, int(port), request) for _ in range(int(connections))]
    end = time.perf_counter() + float(seconds)
    threads = [threading.Thread(target=client.run, args=(end,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies = np.array([one for client in clients for one in client.latencies]) * 1e3
    p50, p99 = np.percentile(latencies, [50, 99])
    result = {
        "count": len(latencies),
        "other": sum(client.other for client in clients),
        "latency_ms": {"p50": float(p50), "p99": float(p99)},
        "rate": len(latencies) / float(seconds),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
