"""When a packet arrives at the other end, or that it does not. No socket, no clock."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One direction: bits per second, one-way delay, jitter and longest queue in seconds.

    `loss` is the share of packets lost independently. A fade loses everything for a time of
    `fade_mean_s` (exponential) and takes `fade_share` of the time; both directions share it.
    """

    rate_bps: float = 15e6
    delay_s: float = 0.02
    jitter_s: float = 0.0
    queue_s: float = 0.1
    loss: float = 0.0
    fade_mean_s: float = 0.0
    fade_share: float = 0.0


class Fades:
    """When the link is dark: alternating exponential times, by the clock and not by packets.

    Were it by packets, a TCP that backs off would meet the same burst again and again.
    """

    def __init__(self, settings: LinkSettings, seed: int) -> None:
        self._mean_s = settings.fade_mean_s
        self._share = settings.fade_share
        self._rng = random.Random(seed)
        self._dark = False
        self._until: float | None = None

    def dark(self, now: float) -> bool:
        """Whether packets are lost at the time `now`, which must not go back."""
        if self._share <= 0 or self._mean_s <= 0:
            return False
        if self._until is None:
            self._until = now + self._rng.expovariate(self._share / self._mean_s)
        while now >= self._until:
            self._dark = not self._dark
            clear_s = self._mean_s * (1 - self._share) / self._share
            self._until += self._rng.expovariate(1 / (self._mean_s if self._dark else clear_s))
        return self._dark


class Direction:
    """One way of a link: a serialiser with a drop-tail queue, then loss, then delay."""

    def __init__(self, settings: LinkSettings, fades: Fades, seed: int) -> None:
        self.sent = 0
        self.lost = 0
        self.dropped = 0
        self._settings = settings
        self._fades = fades
        self._rng = random.Random(seed)
        self._free_s = 0.0

    def send(self, size: int, now: float) -> float | None:
        """The time at which a packet of `size` bytes arrives; None where it does not."""
        settings = self._settings
        self.sent += 1
        start = max(now, self._free_s)
        if start - now > settings.queue_s:
            self.dropped += 1
            return None
        self._free_s = start + size * 8 / settings.rate_bps
        if self._fades.dark(now) or self._rng.random() < settings.loss:
            self.lost += 1
            return None
        jitter = self._rng.uniform(0, settings.jitter_s) if settings.jitter_s else 0.0
        return self._free_s + settings.delay_s + jitter


def both_ways(settings: LinkSettings, seed: int) -> tuple[Direction, Direction]:
    """The two directions of a link, which fade together."""
    fades = Fades(settings, seed)
    return Direction(settings, fades, seed + 1), Direction(settings, fades, seed + 2)
