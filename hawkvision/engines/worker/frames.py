"""Messages between an engine and its worker process: JSON and bytes, each with its length."""

from __future__ import annotations

import json
import struct
from typing import Any, Protocol

_LENGTHS = struct.Struct("<II")
LIMIT = 1 << 26
"""Bytes of a message; more is a damaged stream."""


class Source(Protocol):
    """Something that bytes come from."""

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes, none at the end."""
        ...


class Sink(Protocol):
    """Something that takes bytes."""

    def write(self, data: memoryview, /) -> int | None:
        """How many were taken; a raw pipe may take a part."""
        ...

    def flush(self) -> None:
        """Now."""
        ...


def write_frame(stream: Sink, head: dict[str, Any], body: bytes = b"") -> None:
    """Send one message."""
    text = json.dumps(head).encode()
    left = memoryview(_LENGTHS.pack(len(text), len(body)) + text + body)
    while left:
        left = left[stream.write(left) or 0 :]
    stream.flush()


def read_frame(stream: Source) -> tuple[dict[str, Any], bytes] | None:
    """The next message, None at the end of the stream. Raises ValueError for a damaged one."""
    lengths = _exactly(stream, _LENGTHS.size)
    if lengths is None:
        return None
    head, body = _LENGTHS.unpack(lengths)
    if head + body > LIMIT:
        raise ValueError(f"a message of {head + body} bytes")
    text, rest = _exactly(stream, head), _exactly(stream, body)
    if text is None or rest is None:
        return None
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("a message without a head")
    return found, rest


def _exactly(stream: Source, length: int) -> bytes | None:
    parts = []
    while length > 0:
        part = stream.read(length)
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
