"""What a batch of n images costs, learned from batches that ran: a + b·n seconds. Sans-I/O.

A weighted least-squares line over the latest batches; one that took far longer than expected (the
machine slept, a kernel was compiled) counts as if it had taken somewhat longer (Huber, 1964). One
observation "no images take no time" stands beside them: as long as all batches were of one size,
which says nothing of `a`, the line goes through the origin, and nobody waits for a saving that
was never seen.
"""

from __future__ import annotations

_FORGET = 1 - 1 / 64
"""Weight of what is known, each time a batch is added."""

_ORIGIN = 1.0
"""Weight of the observation at the origin, in batches."""

_LEARN = 1 / 16
"""Weight of one batch in the moving mean of deviations."""

_OUTLIER = 3.0
"""Deviations beyond so many times the usual one are cut to that."""

_SAFE = 2.0
"""So many usual deviations on top are what a batch takes at most, for deadlines."""


class BatchCost:
    """Learns from `add`; `setup_s` and `each_s` are the line, both never negative."""

    def __init__(self) -> None:
        self.setup_s = 0.0
        self.each_s = 0.0
        self.deviation_s = 0.0
        self.batches = 0
        self._weight = _ORIGIN
        self._n = self._nn = self._t = self._nt = 0.0

    @property
    def known(self) -> bool:
        """Whether any batch has run."""
        return self.batches > 0

    def expected_s(self, images: int) -> float:
        """What a batch of so many takes, seconds; 0 before the first one ran."""
        return self.setup_s + self.each_s * images

    def safe_s(self, images: int) -> float:
        """What it hardly ever takes longer than."""
        return self.expected_s(images) + _SAFE * self.deviation_s

    def add(self, images: int, took_s: float) -> None:
        """A batch of so many images ran."""
        if self.batches:
            off = took_s - self.expected_s(images)
            most = max(_OUTLIER * self.deviation_s, 0.25 * self.expected_s(images))
            if off > most:
                off = most
                took_s = self.expected_s(images) + off
            self.deviation_s += _LEARN * (abs(off) - self.deviation_s)
        self.batches += 1
        for_ever = _ORIGIN * (1 - _FORGET)  # the origin is not forgotten
        self._weight = self._weight * _FORGET + 1 + for_ever
        self._n = self._n * _FORGET + images
        self._nn = self._nn * _FORGET + images * images
        self._t = self._t * _FORGET + took_s
        self._nt = self._nt * _FORGET + images * took_s
        self._fit()

    def _fit(self) -> None:
        spread = self._weight * self._nn - self._n * self._n
        each = (self._weight * self._nt - self._n * self._t) / spread if spread > 0 else 0.0
        setup = (self._t - each * self._n) / self._weight
        if each < 0:
            each, setup = 0.0, self._t / (self._weight - _ORIGIN)
        elif setup < 0:
            setup, each = 0.0, self._nt / self._nn
        self.each_s, self.setup_s = each, setup
