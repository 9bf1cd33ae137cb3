"""The geometry of a JPEG as RTP/JPEG names it: type, size, restart intervals, MCUs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

LARGEST_SIDE = 2040
"""Pixels: the header counts eights in one byte (RFC 2435, section 3.1.5)."""
LARGEST_STATED_SIDE = 4096
"""Pixels, where the size is stated when a stream is opened and not by its packets."""
MOST_INTERVALS = 1 << 15
"""More than any picture of LARGEST_SIDE can have."""


@dataclass(frozen=True)
class Layout:
    """Type 0 is 4:2:2, type 1 is 4:2:0; `interval` is in MCUs, 0 for none.

    `width` and `height` are multiples of 8 px: the exact size of an image is not carried.
    """

    type: int
    width: int
    height: int
    interval: int = 0

    @property
    def mcu_width(self) -> int:
        """Pixels."""
        return 16

    @property
    def mcu_height(self) -> int:
        """Pixels."""
        return 16 if self.type else 8

    @cached_property
    def columns(self) -> int:
        """MCUs in a row."""
        return -(-self.width // 16)

    @cached_property
    def rows(self) -> int:
        """Rows of MCUs."""
        return -(-self.height // self.mcu_height)

    @cached_property
    def mcus(self) -> int:
        """MCUs in all."""
        return self.columns * self.rows

    @cached_property
    def intervals(self) -> int:
        """Restart intervals in all; 1 where there are none."""
        return -(-self.mcus // self.interval) if self.interval else 1
