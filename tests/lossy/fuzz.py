"""Mutations of captured packets through the whole receiving side.

`python -m tests.lossy.fuzz --seconds 300 --seed 1` runs for so long and prints what was seen; the
test suite runs a short one. Nothing but our own errors may come out, memory stays bounded, and so
does the time that one datagram can cost.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from dataclasses import asdict, dataclass

from hawkvision.errors import HawkVisionError
from hawkvision.lossy.jpeg.pixels import concealed_jpeg, decode_frame
from hawkvision.lossy.jpeg.rebuild import rebuild
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.results import results_in
from hawkvision.lossy.wire.rtp import is_rtcp
from tests.lossy import captures

_SESSION = 400


@dataclass
class Seen:
    """What a run met. CPU times in milliseconds; memory in megabytes over the start."""

    datagrams: int = 0
    frames: int = 0
    refused_frames: int = 0
    accepted: int = 0
    receive_us_mean: float = 0.0
    receive_ms_worst: float = 0.0
    frame_ms_mean: float = 0.0
    frame_ms_worst: float = 0.0
    memory_mb: float = 0.0


def mutated(datagram: bytes, pool: list[bytes], rng: random.Random) -> bytes:
    """One hostile datagram; the SSRC stays, or it would only test a comparison."""
    data = bytearray(datagram)
    for _ in range(rng.choice((0, 1, 1, 2, 4, 16))):
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[rng.randrange(len(data))] = rng.choice(
                (0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256))
            )
        elif kind == 1 and len(data) >= 28:
            data[rng.randrange(12, 28)] = rng.randrange(256)
        elif kind == 2:
            del data[rng.randrange(len(data) + 1) :]
        elif kind == 3:
            at = rng.randrange(len(data) + 1)
            data[at:at] = rng.randbytes(rng.randrange(64))
        elif kind == 4:
            other = rng.choice(pool)
            at = rng.randrange(min(len(data), len(other)) + 1)
            data[at:] = other[at:]
        elif len(data) > 40:
            at = rng.randrange(20, len(data))
            data[at : at + 2] = bytes((0xFF, 0xD0 + rng.randrange(10)))
    if len(data) >= 12 and not is_rtcp(bytes(data)):
        data[8:12] = captures.SSRC.to_bytes(4, "big")
    return bytes(data)


def run(seconds: float, seed: int, datagrams: int | None = None) -> Seen:
    """Fuzz for so long, or for so many datagrams."""
    rng = random.Random(seed)
    pool = [one for client in captures.CLIENTS for one in captures.read(client)]
    seen = Seen()
    end = time.monotonic() + seconds
    receive_s = frame_s = 0.0
    receiver, now = StreamReceiver(captures.SSRC, 0.05), 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.monotonic() < end and (datagrams is None or seen.datagrams < datagrams):
        if seen.datagrams % _SESSION == 0:
            receiver = StreamReceiver(captures.SSRC, 0.05)
        data = mutated(rng.choice(pool), pool, rng)
        now += rng.choice((0.0, 0.0001, 0.002, 0.02))
        start = time.thread_time()
        if is_rtcp(data):
            results_in(receiver.rtcp(data, now) or [])
            frames = []
        else:
            frames = (receiver.rtp(data, now) or []) + receiver.poll(now)
        spent = time.thread_time() - start
        receive_s += spent
        seen.receive_ms_worst = max(seen.receive_ms_worst, spent * 1e3)
        seen.datagrams += 1
        for frame in frames:
            start = time.thread_time()
            try:
                rebuilt = rebuild(frame)
                decode_frame(rebuilt, min_side=128)
                if seen.frames % 10 == 0:
                    concealed_jpeg(rebuilt)
            except HawkVisionError:
                seen.refused_frames += 1
            spent = time.thread_time() - start
            frame_s += spent
            seen.frame_ms_worst = max(seen.frame_ms_worst, spent * 1e3)
            seen.frames += 1
        seen.accepted += bool(frames)
    seen.receive_us_mean = receive_s / max(1, seen.datagrams) * 1e6
    seen.frame_ms_mean = frame_s / max(1, seen.frames) * 1e3
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen.memory_mb = (after - before) / 1024
    return seen


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print(json.dumps(asdict(run(chosen.seconds, chosen.seed)), indent=2))


if __name__ == "__main__":
    main()
