"""First come, first served, exactly: when each of many jobs begins and ends. No clock, no chance.

With one server this is Lindley's recursion (1952), with several that of Kiefer and Wolfowitz
(1955). A job that finds a server idle may take another time than one that waited: with Poisson
arrivals and one server the queue with exceptional first service of Welch (1964).
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Served(NamedTuple):
    """By job [N]: how long it waited, and how long it kept its server."""

    wait: Floats
    busy: Floats


def serve(arrivals: Floats, busy: Floats, servers: int = 1, warm: Floats | None = None) -> Served:
    """Serve jobs that arrive at `arrivals` [N], ascending, and keep a server for `busy` [N].

    `warm` [N] is the part of `busy` of jobs that had to wait (None: all of it). All in one unit of
    time.
    """
    times, lasts = arrivals.tolist(), busy.tolist()
    shares = [1.0] * len(times) if warm is None else warm.tolist()
    waits, kept = [], []
    free = [-np.inf] * servers
    for now, last, share in zip(times, lasts, shares, strict=True):
        wait = free[0] - now
        if wait > 0:
            last *= share
        else:
            wait = 0.0
        waits.append(wait)
        kept.append(last)
        heapq.heapreplace(free, now + wait + last)
    return Served(np.array(waits, np.float64), np.array(kept, np.float64))
