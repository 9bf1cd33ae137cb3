"""A message that is here: its bytes are held, and inflated within the same limits.

gRPC could inflate messages itself, but older versions look at the size only afterwards. It hands
them on as they are (`transport.py`), without saying so for each; but no message of ours begins as
gzip or zlib data does.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from hawkvision.errors import PayloadTooLarge
from hawkvision.serving.inflate import inflating
from hawkvision.serving.peers import Peer
from hawkvision.serving.quota import Quota

_GZIP = b"\x1f\x8b"
_ZLIB_WINDOW = 0x78
"""The first byte of zlib data with a window of 32 KiB, which is what gRPC's `deflate` writes."""


def is_compressed(raw: bytes) -> bool:
    """Whether these bytes are gzip or zlib data, and no message that any method here takes.

    As protobuf, gzip's first byte has no meaning, and zlib's begins a field 15, which there is not.
    """
    if raw[:2] == _GZIP:
        return True
    return len(raw) > 1 and raw[0] == _ZLIB_WINDOW and (raw[0] * 256 + raw[1]) % 31 == 0


class Held:
    """Bytes of `quota` that one message holds (`with`) for a peer. Raises Overloaded on entry."""

    __slots__ = ("_at_most", "_held", "_peer", "_quota", "_size")

    def __init__(self, quota: Quota, peer: Peer, size: int, at_most: int) -> None:
        self._quota = quota
        self._peer = peer
        self._size = size
        self._at_most = at_most
        self._held: list[int] = []

    def __enter__(self) -> Self:
        self._hold(self._size)
        return self

    def _hold(self, size: int) -> None:
        self._quota.hold(self._peer, size)
        self._held.append(size)

    async def inflated(self, raw: bytes) -> bytes:
        """The message itself. What it is inflated to is held beside what was sent.

        Raises PayloadTooLarge, Overloaded, and InvalidRequest for what does not inflate.
        """
        if not is_compressed(raw):
            return raw
        parts: list[bytes] = []
        size = 0
        try:
            for part in inflating(raw):
                size += len(part)
                if size > self._at_most:
                    raise PayloadTooLarge(
                        f"a message that inflates to more than {self._at_most} bytes",
                        hint="Send less in each message.",
                    )
                self._hold(len(part))
                parts.append(part)
                await asyncio.sleep(0)
            return b"".join(parts)
        finally:
            parts.clear()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._held:
            self._quota.release(self._peer, self._held.pop())
