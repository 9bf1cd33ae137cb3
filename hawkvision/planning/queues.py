"""First come, first served, exactly: when each of many jobs begins and ends. No clock, no chance.

With one server this is Lindley's recursion (1952), with several that of Kiefer and Wolfowitz
(1955). A job that finds a server idle may take another time than one that waited: with Poisson
arrivals and one server the queue with exceptional first service of Welch (1964). An event loop
serves in rounds: who comes during one waits for its end, and the answers of one go out together
(gated service: Takagi, 1986).
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


class Rounds(NamedTuple):
    """By job [N]: how long it waited, how long it kept the loop, how long after its work its answer
    was held until those of its round went out, and from then until its work `after` that begins.

    `lasts` [R] is how long each round took.
    """

    wait: Floats
    busy: Floats
    held: Floats
    until_after: Floats
    lasts: Floats


def serve_rounds(
    arrivals: Floats, busy: Floats, after: Floats, most: float, warm: Floats | None = None
) -> Rounds:
    """Serve as an event loop does: in a round those that were there when it began, one at least,
    then others until `most` has passed; then their answers go out, then comes what they have to do
    `after` [N] that.

    The rest as in `serve`; with a `most` of 0 a round has one job, and the order is the same.
    """
    times, works, laters = arrivals.tolist(), busy.tolist(), after.tolist()
    shares = [1.0] * len(times) if warm is None else warm.tolist()
    waits, kept, held, until_after, lasts = [], [], [], [], []
    free, first, count = -np.inf, 0, len(times)
    while first < count:
        idle = times[first] >= free
        begin = now = max(free, times[first])
        ends, place = [], first
        while place < count and (place == first or (times[place] <= begin and now < begin + most)):
            share = 1.0 if idle and place == first else shares[place]
            waits.append(now - times[place])
            kept.append((works[place] + laters[place]) * share)
            now += works[place] * share
            ends.append(now)
            place += 1
        held += [now - end for end in ends]
        free = now
        for job in range(first, place):
            until_after.append(free - now)
            free += laters[job] * (1.0 if idle and job == first else shares[job])
        lasts.append(free - begin)
        first = place
    columns = waits, kept, held, until_after, lasts
    return Rounds(*(np.array(column, np.float64) for column in columns))
