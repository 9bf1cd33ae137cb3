"""An answer as a small RTCP datagram: JSON in an APP packet, keyed by the frame's timestamp.

It is sent three times, because one datagram is lost as easily as any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from hawkvision.lossy.wire.rtcp import RESULT_NAME, Application, ReceiverReport, Report

REPEATS_S = (0.0, 0.005, 0.015)
"""When each copy is sent after the answer is known."""

_LEFT_OUT = ("top_k", "timing_ms", "task")


def result_datagram(ssrc: int, result: Mapping[str, Any], room: int) -> bytes:
    """A compound of an empty report and the result, in at most `room` bytes.

    Where it would be larger, less important fields are left out.
    """
    body = dict(result)
    for name in ("", *_LEFT_OUT):
        body.pop(name, None)
        data = bytes(ReceiverReport(ssrc)) + bytes(
            Application(ssrc, RESULT_NAME, orjson.dumps(body))
        )
        if len(data) <= room:
            break
    return data


def results_in(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """The results among parsed RTCP packets; what is no JSON object is passed over."""
    found = []
    for report in reports:
        if isinstance(report, Application) and report.name == RESULT_NAME:
            try:
                body = orjson.loads(report.data)
            except orjson.JSONDecodeError:
                continue
            if isinstance(body, dict) and isinstance(body.get("frame"), dict):
                found.append(body)
    return found
