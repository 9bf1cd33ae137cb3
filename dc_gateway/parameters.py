"""The parameters of a request that change what the gateway does; others are passed over.

An `accuracy` is checked and changes nothing: every answer comes from the largest rung, or from one
below it that is sure enough.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

from hawkvision.cascade import parse_accuracy
from hawkvision.errors import InvalidRequest
from hawkvision.oip.messages import Scalar

_MAX_DEADLINE_MS = 600_000.0
_MOST_QUERY = 4096
_MOST_DIGITS = 19


def due_of(given: Mapping[str, Scalar], deadline: float) -> float:
    """When the answer is due (`time.monotonic`): `deadline`, or sooner where the request says so.

    `deadline_ms` goes before `timeout`, Triton's, in microseconds. Raises InvalidRequest for a
    parameter that is no such number, and for an accuracy that is none.
    """
    if not given:
        return deadline
    if "accuracy" in given:
        parse_accuracy(str(given["accuracy"]))
    asked_ms = _deadline_ms(given)
    return deadline if asked_ms is None else min(deadline, time.monotonic() + asked_ms / 1e3)


def with_query(parameters: Mapping[str, Scalar], query: str) -> Mapping[str, Scalar]:
    """The parameters of a request, laid over those of a raw query string.

    Raises InvalidRequest for one that cannot be read.
    """
    if not query:
        return parameters
    try:
        pairs = parse_qsl(query[:_MOST_QUERY], keep_blank_values=True, max_num_fields=32)
    except ValueError as error:
        raise InvalidRequest(f"the query cannot be read: {error}") from error
    return {name: _number(text) for name, text in pairs} | dict(parameters)


def _number(text: str) -> Scalar:
    whole = text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS
    return int(text) if whole else text


def _deadline_ms(given: Mapping[str, Scalar]) -> float | None:
    if "deadline_ms" in given:
        try:
            value = float(given["deadline_ms"])
        except ValueError:
            value = math.nan
        if not 0 < value <= _MAX_DEADLINE_MS:
            raise InvalidRequest(
                f"deadline_ms must be in (0, {_MAX_DEADLINE_MS:g}], "
                f"not {str(given['deadline_ms'])[:40]!r}",
                hint="Milliseconds from the arrival of the request.",
            )
        return value
    timeout = given.get("timeout", 0)
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise InvalidRequest(f"timeout must be whole microseconds, not {str(timeout)[:40]!r}")
    return timeout / 1e3 if timeout else None
