"""Server-sent events (WHATWG HTML, section 9.2), line by line. Knows no sockets."""

from __future__ import annotations

import orjson

from hawkvision.contract.fields import unexpected
from hawkvision.contract.stream import StreamEvent, parse_event

SILENCE_S = 60.0
"""An agent says at least that it is still there every 10 s."""


class EventReader:
    """Takes the lines of a reply in their order."""

    def __init__(self) -> None:
        self._name = ""

    def line(self, line: bytes) -> StreamEvent | None:
        """The event that this line completes, if it does. Raises UnexpectedReply."""
        if line.startswith(b"event: "):
            self._name = line[7:].strip().decode("utf-8", "replace")
        elif line.startswith(b"data: "):
            try:
                return parse_event(self._name, orjson.loads(line[6:]))
            except orjson.JSONDecodeError as error:
                raise unexpected("an event without JSON") from error
        return None
