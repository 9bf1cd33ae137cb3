"""Compressed data is inflated in small steps, so that who reads it can stop in time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from hawkvision.errors import InvalidRequest

STEP = 256 * 1024
"""Bytes that are inflated before others have their turn: a millisecond's work."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def inflating(data: bytes) -> Iterator[bytes]:
    """What gzip or zlib data holds, in parts of at most `STEP` bytes.

    Raises InvalidRequest for data that is broken.
    """
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    view = memoryview(data)
    try:
        for start in range(0, len(view), STEP):
            rest: bytes | memoryview = view[start : start + STEP]
            while not inflater.eof:
                part = inflater.decompress(rest, STEP)
                rest = inflater.unconsumed_tail
                yield part
                if not rest and len(part) < STEP:
                    break
    except zlib.error as error:
        raise InvalidRequest(f"the body does not inflate: {error}") from error
    if not inflater.eof:
        raise InvalidRequest("the body does not inflate: it breaks off")
