"""What a stream's encoding lacks, written as near as it can be. Services use it: no Rich here."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

_PLAIN = {"…": "...", "–": "-", "×": "x", "≥": ">=", "≤": "<=", "→": "->"}
_ERRORS = "hawkvision.plain"


def plain_where_needed(*streams: TextIO) -> None:
    """Let what a stream's encoding lacks be written as near as it can be, not raise."""
    codecs.register_error(_ERRORS, _plain)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in missing), error.end
