"""Whether what came over a line may hold tiny pieces, which cost a parser much. Sans-I/O."""

from __future__ import annotations

import time

_SHORT = 64
"""Bytes with shorter lines than this, on average, are not plain."""

_SAMPLE = 1024


def is_plain(data: bytes) -> bool:
    """Whether lines are long, by a sample at a place that a sender cannot foresee."""
    at = time.monotonic_ns() % len(data)
    sample = data[at : at + _SAMPLE]
    return sample.count(b"\n") * _SHORT < len(sample)
