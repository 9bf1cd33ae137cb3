"""Packets that are what they say, and yet cannot be answered: why, by a code that advice is given
for (`hawkvision.lossy.advice`)."""

from __future__ import annotations

from hawkvision.errors import MalformedPacket


class UnreadablePacket(MalformedPacket):
    """`advice` is a key of `ADVICE`."""

    def __init__(self, advice: str, message: str) -> None:
        super().__init__(message)
        self.advice = advice


def advice_of(error: MalformedPacket) -> str:
    """The code of what to tell about a packet."""
    return error.advice if isinstance(error, UnreadablePacket) else "malformed"
