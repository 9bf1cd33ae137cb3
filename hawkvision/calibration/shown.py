"""How shares are put in figures, so that what is read is true.

A lower bound is cut and an upper bound raised, never rounded to the nearest: who asks for a target
that was shown as certified is served. A target is shown as it was asked for.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

BOUND_DIGITS = 3
_TARGET_DIGITS = 12


def floored(bound: float, digits: int = BOUND_DIGITS) -> float:
    """A lower bound cut to so many digits; at most `bound`, and `bound` itself if it has no more.

    Decimal, because 0.29 * 100 is less than 29 in binary.
    """
    return float(_cut(bound, digits, ROUND_FLOOR))


def lower(bound: float, digits: int = BOUND_DIGITS) -> str:
    """A lower bound as text, cut to so many digits."""
    return f"{_cut(bound, digits, ROUND_FLOOR):f}"


def lower_percent(bound: float, digits: int = 1) -> str:
    """A lower bound in percent, cut to so many digits: `97.6%`."""
    return f"{100 * _cut(bound, digits + 2, ROUND_FLOOR):.{digits}f}%"


def interval(low: float, high: float, digits: int = BOUND_DIGITS) -> str:
    """An interval as text, widened to so many digits: `0.912-0.961`."""
    return f"{lower(low, digits)}-{_cut(high, digits, ROUND_CEILING):f}"


def target(asked: float | str) -> str:
    """A target as it was asked for: at least two digits, all that it has, or its text."""
    if isinstance(asked, str):
        return asked
    return max(f"{asked:.2f}", f"{asked:.{_TARGET_DIGITS}g}", key=len)


def _cut(value: float, digits: int, rounding: str) -> Decimal:
    return Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), rounding)
