"""Who changed what, and who was refused: JSON lines beside the requests.

What is noted waits in a bounded queue for a thread that writes; nobody waits for a disk. Of
refusals some are noted a second, the others are counted. No line holds a key, or a stream's id;
each has the id of its request (`request_id`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from pathlib import Path
from typing import Any

import orjson

from hawkvision.serving.access.rate import Rate
from hawkvision.serving.logs import timestamp
from hawkvision.serving.request_id import current

_log = logging.getLogger("hawkvision.audit")
_own = logging.getLogger(__name__)
_WAITING = 1024
_TEXT = 200
_DENIED = Rate(10.0, 50.0)
_ENDS_S = 2.0
_AGAIN_S = 0.5
"""After what could not be written it is tried again."""


class AuditLog:
    """Notes go to `path` (made with mode 0600, and opened anew for every batch of lines, so that it
    may be moved away), or without one to the logger `hawkvision.audit`.

    What cannot be written (no free descriptor, a full disk) is tried again, and new notes wait
    behind it. `lost` counts what was never written: no room to wait, or not even at the end.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.lost = 0
        self._left_out = 0
        self._full_at = 0.0
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._complained = False
        self._ends = threading.Event()

    def note(self, event: str, *, key: str | None, peer: str, **what: str | int | None) -> None:
        """Something was changed, or tried: by whom, from where. Texts are cut at 200 characters."""
        line: dict[str, Any] = {"time": timestamp(time.time()), "event": event, "key": key}
        line["peer"] = peer
        if (named := current()) is not None:
            line["request"] = named.text
        for name, value in what.items():
            line[name] = value[:_TEXT] if isinstance(value, str) else value
        if self._left_out and event == "denied":
            line["left_out"], self._left_out = self._left_out, 0
        self._put(_encoded(line))

    def denied(self, *, key: str | None, peer: str, **what: str | int | None) -> None:
        """Somebody was refused; of more than some a second only the number is kept."""
        self._full_at, wait_s = _DENIED.take(self._full_at, time.monotonic())
        if wait_s > 0:
            self._left_out += 1
            return
        self.note("denied", key=key, peer=peer, **what)

    def _put(self, line: bytes) -> None:
        if self._path is None:
            _log.info("%s", line.decode())
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self.lost += 1

    def _write(self) -> None:
        ends = False
        while not ends and (line := self._waiting.get()) is not None:
            lines = [line]
            with contextlib.suppress(queue.Empty):
                while not ends:
                    more = self._waiting.get_nowait()
                    ends = more is None
                    lines += [] if more is None else [more]
            while (lines := self._append(lines)) and not self._ends.wait(_AGAIN_S):
                pass
            self.lost += len(lines)
        self._lose_the_rest()

    def _append(self, lines: list[bytes]) -> list[bytes]:
        """Those that could not be written."""
        assert self._path is not None
        written = 0
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            handle = os.open(self._path, flags, 0o600)
            try:
                for line in lines:  # a write of its own each, so that workers' lines stay whole
                    os.write(handle, line + b"\n")
                    written += 1
            finally:
                os.close(handle)
        except OSError as error:
            if not self._complained:
                _own.error("the audit log %s: %s", self._path, error.strerror or error)
            self._complained = True
        else:
            self._complained = False
        return lines[written:]

    def _lose_the_rest(self) -> None:
        """Nothing is written any more."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.lost += self._waiting.get_nowait() is not None

    def check(self) -> None:
        """Raise OSError where the file cannot be written to."""
        if self._path is not None:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))

    def close(self) -> None:
        """Write what waits; at most two seconds are given to that."""
        if self._thread is not None:
            self._ends.set()
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=_ENDS_S)
            self._thread.join(_ENDS_S)
            self._thread = None


def _encoded(line: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(line)
    except orjson.JSONEncodeError:  # a lone surrogate in what a client sent
        safe = {
            name: one.encode("utf-8", "backslashreplace").decode() if isinstance(one, str) else one
            for name, one in line.items()
        }
        return orjson.dumps(safe)
