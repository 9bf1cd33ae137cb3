"""Poisson arrivals whose rate changes with time, by thinning (Lewis and Shedler, 1979)."""

from __future__ import annotations

import random
from collections.abc import Iterator

from loadtest.shapes import Shape

LONGEST_S = 1.0
"""No gap between two values is longer, so that who waits for them can look around."""


def arrivals(shape: Shape, share: float, rng: random.Random) -> Iterator[tuple[float, bool]]:
    """Seconds since the start, ascending; whether somebody arrives then or time only passes.

    `share` of the shape's rate is drawn here, the rest by other processes: independent Poisson
    streams add up to one.
    """
    highest = shape.highest * share
    now = 0.0
    while True:
        gap = rng.expovariate(highest)
        while gap > LONGEST_S:
            now += LONGEST_S
            gap -= LONGEST_S
            yield now, False
        now += gap
        if rng.random() * highest < shape.at(now) * share:
            yield now, True
