"""The log of a process: one line for each record on standard error, as text or as JSON.

Only the command line sets this up. As a library HawkVision leaves logging alone: its loggers are
named after its modules, for whoever embeds it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TextIO, TypeVar

import click
import orjson

from hawkvision.serving.repeats import Repeats, kind_of
from hawkvision.serving.request_id import current

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
Command = TypeVar("Command", bound=Callable[..., Any])
_log = logging.getLogger(__name__)
_WORKER: int | None = None
_QUIET = ("asyncio", "PIL")
"""Of these, details are for their own developers: never below a warning."""


def log_options(command: Command) -> Command:
    """The options of every command that serves: `log_level` and `log_format`."""
    for option in (
        click.option("--log-format", type=click.Choice(FORMATS), default="text"),
        click.option("--log-level", type=click.Choice(LEVELS), default="info"),
    ):
        command = option(command)
    return command


def speak_as(worker: int) -> None:
    """This process is one of several workers: its lines say which one."""
    global _WORKER
    _WORKER = worker


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as UTC, ISO 8601 with milliseconds: `2026-01-31T12:00:00.123Z`."""
    then = datetime.fromtimestamp(seconds, UTC)
    return f"{then:%Y-%m-%dT%H:%M:%S}.{then.microsecond // 1000:03d}Z"


class TextLines(logging.Formatter):
    """`TIME LEVEL LOGGER: MESSAGE`, ` [request ID]` where it is about one; a traceback follows on
    lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging. What is no printable character is escaped, so a line stays a line."""
        whose = "" if _WORKER is None else f"worker {_WORKER}: "
        named = current()
        about = "" if named is None else f" [request {named.text}]"
        line = (
            f"{timestamp(record.created)} {record.levelname} {record.name}: {whose}"
            f"{_one_line(record.getMessage())}{about}{_told(record)}"
        )
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonLines(logging.Formatter):
    """An object a line: `time`, `level`, `logger`, `message`; `request` and `trace_id`, `worker`,
    `dropped`, `trace` (a traceback) where any."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        body: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (named := current()) is not None:
            body["request"] = named.text
            if (trace_id := named.trace_id) is not None:
                body["trace_id"] = trace_id
        if _WORKER is not None:
            body["worker"] = _WORKER
        if dropped := getattr(record, "dropped", 0):
            body["dropped"] = dropped
        if trace := _trace(self, record):
            body["trace"] = trace
        return _json(body)


def _json(body: dict[str, Any]) -> str:
    try:
        return orjson.dumps(body).decode()
    except orjson.JSONEncodeError:  # a lone surrogate, from a file's name say
        safe = {key: _valid(value) for key, value in body.items()}
        return orjson.dumps(safe).decode()


def _valid(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def _told(record: logging.LogRecord) -> str:
    dropped = getattr(record, "dropped", 0)
    told = f" ({dropped} more like it were dropped)" if dropped else ""
    pause_s = getattr(record, "last_for_s", 0)
    return f"{told} (more like it are dropped for a while)" if pause_s else told


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


class LimitRepeats(logging.Filter):
    """Drops lines that repeat too often, and lets the next one say how many were dropped."""

    def __init__(
        self, repeats: Repeats | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.repeats = repeats or Repeats()
        self._clock = clock

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging."""
        kind = kind_of(record.name, str(record.msg))
        dropped = self.repeats.see(kind, self._clock())
        if dropped is None:
            return False
        record.dropped = dropped
        record.last_for_s = self.repeats.window_s if self.repeats.is_last(kind) else 0
        return True


@contextlib.contextmanager
def configured(level: str, form: str, stream: TextIO | None = None) -> Iterator[None]:
    """Log to `stream` (standard error) meanwhile, from every library; then as it was before."""
    root = logging.getLogger()
    before = root.level
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    limit = LimitRepeats()
    handler.addFilter(limit)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    try:
        yield
    finally:
        for (name, text), count in limit.repeats.left().items():
            _log.warning("dropped %d lines of %s like: %s", count, name, text)
        logging.captureWarnings(False)
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.NOTSET)
        root.setLevel(before)
        root.removeHandler(handler)
