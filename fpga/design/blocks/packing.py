"""The operand of a DSP block that computes several products, and its sums taken apart again.

How far weights lie from each other is `fpga.network.packing`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Value


def operand(stored: Sequence[Value], apart: int) -> Value:
    """The signed operand of stored weights, `apart` bits from each other."""
    fields = [Cat(value, value[-1].replicate(apart - len(value))) for value in stored[:-1]]
    return Cat(*fields, stored[-1]).as_signed()


def taken_apart(total: Value, lanes: int, apart: int) -> list[Value]:
    """The sums of `lanes` lanes; each gets back the one that a negative sum below it has taken."""
    sums: list[Value] = [total[:apart].as_signed() if lanes > 1 else total]
    for lane in range(1, lanes):
        start = lane * apart
        field = total[start:] if lane == lanes - 1 else total[start : start + apart]
        sums.append(field.as_signed() + total[start - 1])
    return sums
