"""What accuracy is asked for: one type, and one text form for queries, counts and files."""

from __future__ import annotations

import math
from typing import NamedTuple

from hawkvision.errors import InvalidRequest

_RELATIVE = "relative:"
_DIGITS = 12


class Accuracy(NamedTuple):
    """A share of right answers or, `relative`, how far below the data center's own it may be.

    `value` lies strictly between 0 and 1. The text form is `0.95` or `relative:0.02`.
    """

    value: float
    relative: bool = False

    def __str__(self) -> str:
        return f"{_RELATIVE if self.relative else ''}{self.value:.{_DIGITS}g}"

    def as_json(self) -> float | str:
        """As answers echo it: a number, or the text of a relative target."""
        return str(self) if self.relative else self.value


def parse_accuracy(text: str) -> Accuracy:
    """Parse `accuracy=…`: a number strictly between 0 and 1, or `relative:` and such a number.

    Raises InvalidRequest.
    """
    relative = text.startswith(_RELATIVE)
    try:
        value = float(text[len(_RELATIVE) :] if relative else text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise InvalidRequest(
            f"accuracy must be a number between 0 and 1 (exclusive), not {text[:40]!r}",
            hint="For example accuracy=0.95, or accuracy=relative:0.02 for "
            '"at most 0.02 below the data center".',
        )
    return Accuracy(value, relative)
