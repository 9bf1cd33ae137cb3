"""Which address a plain stream's packets are taken from (RFC 3550, section 8.2)."""

from __future__ import annotations

from collections.abc import Hashable

TAKEOVER_S = 0.5
_REMEMBERED_S = 2.0


class SourceAddress:
    """The first address that sends, until it says goodbye or is silent for half a second.

    A camera that begins anew has another port. `contested_s` is when another address last sent
    while the bound one did, too: two senders under one SSRC.
    """

    def __init__(self) -> None:
        self.bound: Hashable | None = None
        self.contested_s: float | None = None
        self._heard_s = 0.0
        self._other_s = 0.0

    @property
    def free_s(self) -> float:
        """From when on another address is taken, if the bound one stays silent."""
        return self._heard_s + TAKEOVER_S

    def admits(self, address: Hashable, now: float) -> bool:
        """Whether a packet from there is taken; it binds a stream that is free."""
        if address == self.bound:
            if self._other_s and now - self._other_s < _REMEMBERED_S:
                self.contested_s = now
            self._other_s = 0.0
        elif self.bound is None or now >= self.free_s:
            self.bound = address
            self._other_s = 0.0
        else:
            self._other_s = now
            return False
        self._heard_s = now
        return True

    def release(self) -> None:
        """The source said goodbye."""
        self.bound = None
