"""A head that comes again on its connection: clients send the same one with every image.

What aiohttp's parser made of it is used again, where nothing but Content-Length is another and the
body came with it. Sans-I/O; whoever asks knows that the parser is between two requests.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_LONGEST = 1024
"""Longer heads are not remembered, bytes: every connection has one."""

_DIGITS = 9
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})\r\n", re.IGNORECASE)


class KnownHead(NamedTuple):
    """The bytes around the digits of Content-Length, and the `message` that they were parsed to."""

    before: bytes
    after: bytes
    message: Any

    @classmethod
    def of(cls, data: bytes, size: int, message: Any) -> KnownHead | None:
        """Of a whole request whose head is the first `size` bytes; None where it is too long."""
        found = None if size > _LONGEST else _LENGTH.search(data, 0, size)
        if found is None:
            return None
        return cls(data[: found.start(1)], data[found.end(1) : size], message)

    def body_of(self, data: bytes) -> bytes | None:
        """The body of one whole request with this head; None for any other bytes."""
        before, after, _ = self
        if not data.startswith(before):
            return None
        at = len(before)
        end = data.find(b"\r", at, at + _DIGITS + 1)
        if end < 0 or not data.startswith(after, end):
            return None
        digits, start = data[at:end], end + len(after)
        if not digits.isdigit() or int(digits) != len(data) - start:
            return None
        return data[start:]
