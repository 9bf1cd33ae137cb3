"""How load changes with time: users of a closed loop, or arrivals per second of an open one.

Plain functions of the seconds since the start, from one text form: `steady:20`, `ramp:1:40:60`,
`burst:5:50:10:60`, `diurnal:5:50:300`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hawkvision.errors import InvalidRequest


@dataclass(frozen=True)
class Shape:
    """`at(seconds)` is the load then, `highest` its largest value."""

    at: Callable[[float], float]
    highest: float


def steady(level: float) -> Shape:
    """Always the same."""
    return Shape(lambda _: level, level)


def ramp(first: float, last: float, seconds: float) -> Shape:
    """From `first` to `last` within `seconds`, then on at `last`."""
    return Shape(
        lambda t: first + (last - first) * min(1.0, max(0.0, t / seconds)), max(first, last)
    )


def burst(low: float, high: float, length: float, period: float) -> Shape:
    """`high` in the last `length` of every `period` seconds, else `low`."""
    return Shape(lambda t: high if t % period >= period - length else low, max(low, high))


def diurnal(low: float, high: float, period: float) -> Shape:
    """A day of `period` seconds: `low` at its ends, `high` in its middle (raised cosine)."""
    half = (high - low) / 2
    return Shape(lambda t: low + half * (1 - math.cos(2 * math.pi * t / period)), max(low, high))


_KINDS: dict[str, tuple[Callable[..., Shape], str]] = {
    "steady": (steady, "LEVEL"),
    "ramp": (ramp, "FIRST:LAST:SECONDS"),
    "burst": (burst, "LOW:HIGH:SECONDS:PERIOD"),
    "diurnal": (diurnal, "LOW:HIGH:PERIOD"),
}
FORMS = tuple(f"{name}:{form}" for name, (_, form) in _KINDS.items())


def parse_shape(text: str) -> Shape:
    """A shape from its text. Raises InvalidRequest."""
    name, *numbers = text.split(":")
    try:
        kind, form = _KINDS[name]
        values = [float(number) for number in numbers]
    except (KeyError, ValueError) as error:
        raise _refused(text) from error
    if len(values) != form.count(":") + 1 or not all(0 <= one < math.inf for one in values):
        raise _refused(text)
    levels, times = (values[:1], []) if name == "steady" else (values[:2], values[2:])
    if max(levels) <= 0 or not all(times) or (name == "burst" and times[0] > times[1]):
        raise _refused(text)
    return kind(*values)


def _refused(text: str) -> InvalidRequest:
    return InvalidRequest(f"{text!r} is no load shape", hint=f"Give one of {', '.join(FORMS)}.")
