"""The camera's side of `bench lossy`: runs inside the link's near namespace.

Reads a plan as JSON from standard input; writes one JSON line for each answered image.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hawkvision.client.lossy import LossyStream, Sending
from hawkvision.contract.answer import Answer
from hawkvision.errors import DeadlineExceeded, HawkVisionError

IDLE_S = 0.03
_WARM_UPS = 2
_TIMEOUT_S = 30.0
_PRIORITY = 5


@dataclass(frozen=True)
class Sample:
    """One image: what came back and when. `latency_ms` is None where nothing came."""

    image: int
    transport: str
    latency_ms: float | None
    label: str | None = None
    escalated: bool = False
    degraded: str | None = None
    lost_fraction: float = 0.0


def _write(sample: Sample) -> None:
    sys.stdout.write(json.dumps(asdict(sample)) + "\n")
    sys.stdout.flush()


class HttpTransport:
    """HTTP/1.1 on one kept connection with a given congestion control."""

    def __init__(self, congestion: str, plan: dict[str, Any]) -> None:
        self.name = f"http_{congestion}"
        self._congestion = congestion.encode()
        self._host, self._port = plan["host"], plan["port"]
        self._path = f"/v1/classify?accuracy={plan['accuracy']}&task={plan['task']}"
        self._connection: http.client.HTTPConnection | None = None

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is None:
            opened = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
            opened.connect()
            opened.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._congestion)
            opened.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = opened
        return self._connection

    def classify(self, image: bytes) -> dict[str, Any] | None:
        """The answer, or None where the connection failed."""
        try:
            connection = self._open()
            connection.request("POST", self._path, image)
            reply = connection.getresponse()
            body: dict[str, Any] = json.loads(reply.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            return None
        return body if reply.status == 200 else None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _http_block(transport: HttpTransport, images: list[tuple[int, bytes]]) -> None:
    for index, (number, image) in enumerate(images):
        time.sleep(IDLE_S)
        start = time.perf_counter()
        body = transport.classify(image)
        spent_ms = (time.perf_counter() - start) * 1e3
        if index < _WARM_UPS:
            continue
        if body is None:
            _write(Sample(number, transport.name, None))
        else:
            answer = Answer.parse(body)
            said = (answer.label, answer.escalated, answer.degraded)
            _write(Sample(number, transport.name, spent_ms, *said))


async def _lossy_block(plan: dict[str, Any], images: list[tuple[int, bytes]]) -> None:
    url = f"http://{plan['host']}:{plan['port']}"
    asked = {
        "accuracy": plan["accuracy"],
        "task": plan["task"],
        "deadline_ms": plan["agent_deadline_ms"],
        "wait_ms": plan["wait_ms"],
    }
    sending = Sending(rate_bps=plan["pace_bps"], parity=plan["parity"])
    relay = (plan["host"], plan["udp_port"]) if plan["udp_port"] else None
    try:
        async with LossyStream.open(url, sending=sending, through=relay, **asked) as stream:
            for index, (number, image) in enumerate(images):
                await asyncio.sleep(plan["lossy_idle_s"])
                start = time.perf_counter()
                try:
                    found = await stream.classify(image)
                except DeadlineExceeded:
                    if index >= _WARM_UPS:
                        _write(Sample(number, "lossy", None))
                    continue
                spent_ms = (time.perf_counter() - start) * 1e3
                if index < _WARM_UPS:
                    continue
                answer = found.answer
                _write(
                    Sample(
                        number,
                        "lossy",
                        spent_ms,
                        answer.label,
                        answer.escalated,
                        answer.degraded,
                        found.lost_fraction,
                    )
                )
    except HawkVisionError as error:
        print(f"lossy: {error}", file=sys.stderr, flush=True)


def main() -> None:
    """Run the plan: blocks of each transport in turn."""
    plan = json.load(sys.stdin)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except (PermissionError, AttributeError):
        print("no real-time priority: latencies include other work", file=sys.stderr)
    images = [Path(path).read_bytes() for path in plan["images"]]
    rng = random.Random(plan["seed"])
    https = {name: HttpTransport(name, plan) for name in ("cubic", "bbr")}
    order = list(range(len(images)))
    rng.shuffle(order)
    position = 0
    for _ in range(plan["blocks"]):
        numbers = [order[(position + k) % len(order)] for k in range(plan["block"] + _WARM_UPS)]
        position += plan["block"]
        block = [(number, images[number]) for number in numbers]
        for transport in plan["transports"]:
            if transport == "lossy":
                asyncio.run(_lossy_block(plan, block))
            else:
                _http_block(https[transport.removeprefix("http_")], block)
    for transport in https.values():
        transport.close()


if __name__ == "__main__":
    main()
