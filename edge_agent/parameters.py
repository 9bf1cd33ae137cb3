"""What clients ask for: the query of `POST /v1/classify` and small JSON bodies, checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from hawkvision.cascade import Accuracy, parse_accuracy
from hawkvision.contract.apps import AppInfo
from hawkvision.errors import InvalidRequest
from hawkvision.json_schema import json_type
from hawkvision.oip.messages import Scalar
from hawkvision.serving.access.keyfile import APP
from hawkvision.tracking.records import AppTarget

_KNOWN = frozenset({"accuracy", "deadline_ms", "top_k", "app", "task"})
_INFERENCE = frozenset({"accuracy", "deadline_ms", "app"})
_PASSED_OVER = frozenset(
    {"priority", "sequence_id", "sequence_start", "sequence_end", "content_type", "headers"}
)
"""Parameters of inference that clients send unasked, and that change nothing here."""

_MAX_TOP_K = 1000
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_MAX_DEADLINE_MS = 600_000.0
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,64})?")


@dataclass(frozen=True, slots=True)
class ClassifyParameters:
    """What a client asks for; None where it leaves the choice to the task."""

    task: str | None = None
    accuracy: Accuracy | None = field(default=None, metadata=json_type(float | str))
    deadline_ms: float | None = None
    top_k: int = 3
    app: str | None = None


def parse_classify(query: Mapping[str, str]) -> ClassifyParameters:
    """Parse the query. Raises InvalidRequest naming the parameter."""
    unknown = sorted(set(query) - _KNOWN)
    if unknown:
        raise InvalidRequest(
            f"unknown parameter {unknown[0][:40]!r}",
            hint=f"Known parameters: {', '.join(sorted(_KNOWN))}.",
        )
    return ClassifyParameters(
        task=query.get("task"),
        accuracy=parse_accuracy(query["accuracy"]) if "accuracy" in query else None,
        deadline_ms=_deadline(query["deadline_ms"]) if "deadline_ms" in query else None,
        top_k=_top_k(query["top_k"]) if "top_k" in query else 3,
        app=parse_app(query["app"]) if "app" in query else None,
    )


@lru_cache(maxsize=1024)
def parse_query(raw: str) -> ClassifyParameters:
    """As `parse_classify`, from the raw query string; clients repeat theirs, so it is cached."""
    try:
        pairs = parse_qsl(raw[:4096], keep_blank_values=True, max_num_fields=32)
    except ValueError as error:
        raise InvalidRequest(f"the query cannot be read: {error}") from error
    return parse_classify(dict(pairs))


def parse_parameters(given: Mapping[str, Scalar], base: ClassifyParameters) -> ClassifyParameters:
    """The `parameters` of an inference request, laid over what the query said.

    `timeout`, microseconds, is Triton's; `deadline_ms` goes before it. Raises InvalidRequest naming
    the parameter.
    """
    said = {name: str(one) for name, one in given.items() if name in _INFERENCE}
    unknown = sorted(set(given) - _INFERENCE - _PASSED_OVER - {"timeout"})
    if unknown:
        raise InvalidRequest(
            f"unknown parameter {unknown[0][:40]!r}",
            hint=f"Known parameters: {', '.join(sorted(_INFERENCE | {'timeout'}))}.",
        )
    timeout = given.get("timeout", 0)
    if not isinstance(timeout, int) or timeout < 0:
        raise InvalidRequest(f"timeout must be whole microseconds, not {str(timeout)[:40]!r}")
    if timeout and "deadline_ms" not in said:
        said["deadline_ms"] = str(min(timeout / 1e3, _MAX_DEADLINE_MS))
    found = parse_classify(said)
    return replace(
        base,
        accuracy=found.accuracy if "accuracy" in said else base.accuracy,
        deadline_ms=found.deadline_ms if "deadline_ms" in said else base.deadline_ms,
        app=found.app if "app" in said else base.app,
    )


def parse_trace(header: str | None) -> str | None:
    """A `traceparent` header; None for a malformed one, which is ignored (W3C Trace Context)."""
    return header if header is not None and _TRACE.fullmatch(header) else None


def parse_app(name: str) -> str:
    """An app's name. Raises InvalidRequest."""
    if not APP.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} is no name of an app",
            hint="1 to 64 letters, digits, '_', '-' and '.'.",
        )
    return name


def parse_app_target(app: str, body: Any) -> AppTarget:
    """The body of `PUT /v1/apps/{app}`. Raises InvalidRequest."""
    asked = AppInfo.parse_request(parse_app(app), body)
    accuracy = parse_accuracy(str(asked.accuracy))
    deadline = None if asked.deadline_ms is None else _deadline(str(asked.deadline_ms))
    return AppTarget(asked.app, asked.task, str(accuracy), deadline)


def parse_link_ms(query: Mapping[str, str]) -> float:
    """`link_ms`, the round trip to the data center in ms (default 20). Raises InvalidRequest."""
    text = query.get("link_ms", "20")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _MAX_DEADLINE_MS:
        raise InvalidRequest(f"link_ms must be a number of milliseconds, not {text[:40]!r}")
    return value


def parse_version(query: Mapping[str, str]) -> str | None:
    """`version`, of a task, None where none is named. Raises InvalidRequest."""
    version = query.get("version")
    if version is not None and not _VERSION.fullmatch(version):
        raise InvalidRequest(f"{version[:40]!r} is no version of a task")
    return version


def _deadline(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MAX_DEADLINE_MS:
        raise InvalidRequest(
            f"deadline_ms must be in (0, {_MAX_DEADLINE_MS:g}], not {text[:40]!r}",
            hint="Milliseconds from the arrival of the request.",
        )
    return value


def _top_k(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MAX_TOP_K):
        raise InvalidRequest(
            f"top_k must be a whole number from 1 to {_MAX_TOP_K}, not {text[:40]!r}"
        )
    return int(text)
