"""CPU of receiving one image before it is decoded: socket, SRTP, parsing, assembly, rebuilding."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import simplejpeg
import uvloop

from hawkvision import roadsigns
from hawkvision.lossy.jpeg.rebuild import rebuild
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.sender import SenderSettings, StreamSender
from hawkvision.lossy.wire.srtp import PLAIN, Inbound, Outbound, Suite, new_key, suite_named
from hawkvision.serving.ports import udp_socket

PACKETS = 10
_SSRC = 0x5EED
_ROUNDS = 5
_FRAMES = 400
_PAUSE_S = 0.002

_SENDER = """
import socket, struct, sys, time
data = sys.stdin.buffer.read()
port, gap = int(sys.argv[1]), float(sys.argv[2])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
at = 0
while at < len(data):
    count, = struct.unpack_from("!H", data, at)
    at += 2
    for _ in range(count):
        length, = struct.unpack_from("!H", data, at)
        out.sendto(data[at + 2 : at + 2 + length], ("127.0.0.1", port))
        at += 2 + length
    time.sleep(gap)
"""


def ten_packets() -> bytes:
    """A picture that our sender cuts into ten packets of at most 1,200 bytes."""
    sender = StreamSender(_SSRC, SenderSettings(tag_bytes=16), None)
    for quality in range(98, 30, -1):
        image = roadsigns.render(7, seed=3, size=224)
        data = bytes(simplejpeg.encode_jpeg(image, quality=quality, colorspace="RGB"))
        if len(sender.frame(data, 0)) == PACKETS:
            return data
    raise RuntimeError("no quality gives ten packets")


def _frames(suite: Suite | None, key: bytes, image: bytes) -> list[list[bytes]]:
    outbound = Outbound(suite, key, _SSRC) if suite else None
    tag = suite.tag_bytes if suite else 0
    sender = StreamSender(_SSRC, SenderSettings(tag_bytes=tag), outbound)
    return [sender.frame(image, 9000 * index) for index in range(_FRAMES)]


class _Counting(asyncio.DatagramProtocol):
    def __init__(self, receiver: StreamReceiver, wanted: int) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.frames = 0
        self._receiver = receiver
        self._wanted = wanted

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for frame in self._receiver.rtp(data, time.monotonic()) or ():
            rebuild(frame)
            self.frames += 1
            if self.frames >= self._wanted and not self.done.done():
                self.done.set_result(None)


async def _over_socket(
    receiver: StreamReceiver, frames: list[list[bytes]], pause_s: float
) -> float:
    """CPU milliseconds of this process for each image, over a real socket."""
    bound = udp_socket("127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    transport, counting = await loop.create_datagram_endpoint(
        lambda: _Counting(receiver, len(frames)), sock=bound
    )
    data = b"".join(
        len(frame).to_bytes(2, "big")
        + b"".join(len(packet).to_bytes(2, "big") + packet for packet in frame)
        for frame in frames
    )
    port = str(bound.getsockname()[1])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SENDER, port, str(pause_s), stdin=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(data)
    await child.stdin.drain()
    start = time.process_time()
    child.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            await counting.done
    spent = time.process_time() - start
    await child.wait()
    transport.close()
    return spent * 1e3 / max(1, counting.frames)


def run_transport_bench(suites: tuple[str, ...], progress: Callable[[], None]) -> dict[str, Any]:
    """Interleaved rounds of each suite; medians."""
    image = ten_packets()
    pure: dict[str, list[float]] = {name: [] for name in suites}
    sockets: dict[str, list[float]] = {name: [] for name in suites}
    paused: dict[str, list[float]] = {name: [] for name in suites}
    for _ in range(_ROUNDS):
        for name in suites:
            suite = None if name == PLAIN else suite_named(name)
            key = new_key(suite) if suite else b""
            frames = _frames(suite, key, image)
            inbound = Inbound(suite, key, _SSRC) if suite else None
            receiver = StreamReceiver(_SSRC, 1.0, None, inbound)
            start = time.process_time()
            for datagrams in frames:
                for datagram in datagrams:
                    for frame in receiver.rtp(datagram, 0.0) or ():
                        rebuild(frame)
            pure[name].append((time.process_time() - start) * 1e3 / len(frames))
            for measured, pause_s in ((sockets, 0.0), (paused, _PAUSE_S)):
                inbound = Inbound(suite, key, _SSRC) if suite else None
                receiver = StreamReceiver(_SSRC, 1.0, None, inbound)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    measured[name].append(runner.run(_over_socket(receiver, frames, pause_s)))
            progress()
    return {
        "packets": PACKETS,
        "image_bytes": len(image),
        "suites": {
            name: {
                "core_ms": round(median(pure[name]), 4),
                "with_socket_ms": round(median(sockets[name]), 4),
                "with_socket_paused_ms": round(median(paused[name]), 4),
            }
            for name in suites
        },
    }


def suites_of(text: str) -> tuple[str, ...]:
    """Names separated by commas. Raises InvalidRequest."""
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        suite_named(name)
    return names
