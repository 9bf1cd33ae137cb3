"""The process in the middle of two network namespaces: packets of one TUN device to the other.

Kernel TCP and UDP cross it unchanged. It runs with real-time priority where that is allowed, and
`select` rather than epoll, whose timeouts are whole milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import heapq
import itertools
import json
import os
import select
import struct
import sys
import time

from loadtest.link.model import Direction, LinkSettings, both_ways

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
_PRIORITY = 10
_IDLE_S = 0.2


def _open_tun(namespace: str, device: str) -> int:
    """A TUN device inside a namespace; the descriptor works from outside of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH", device.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(there)
    return descriptor


def _drain(
    source: int,
    direction: Direction,
    queue: list[tuple[float, int, int, bytes]],
    target: int,
    numbers: itertools.count[int],
) -> None:
    while True:
        try:
            packet = os.read(source, 65_536)
        except BlockingIOError:
            return
        now = time.monotonic()
        if packet[0] >> 4 != 4:
            continue  # router advertisements of IPv6
        arrives = direction.send(len(packet), now)
        if arrives is not None:
            heapq.heappush(queue, (arrives, next(numbers), target, packet))


def run(left: int, right: int, settings: LinkSettings, seed: int) -> None:
    """Carry packets until standard input ends."""
    to_right, to_left = both_ways(settings, seed)
    queue: list[tuple[float, int, int, bytes]] = []
    numbers = itertools.count()
    gc.disable()
    while True:
        wait = max(0.0, queue[0][0] - time.monotonic()) if queue else _IDLE_S
        ready, _, _ = select.select([left, right, sys.stdin], [], [], wait)
        if sys.stdin in ready:
            return
        if left in ready:
            _drain(left, to_right, queue, right, numbers)
        if right in ready:
            _drain(right, to_left, queue, left, numbers)
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, _, target, packet = heapq.heappop(queue)
            with contextlib.suppress(OSError):
                os.write(target, packet)


def main() -> None:
    """Arguments: two namespaces, a device name, link settings as JSON, a seed."""
    left_name, right_name, device, settings, seed = sys.argv[1:]
    left, right = _open_tun(left_name, device), _open_tun(right_name, device)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    print("ready", flush=True)
    run(left, right, LinkSettings(**json.loads(settings)), int(seed))


if __name__ == "__main__":
    main()
