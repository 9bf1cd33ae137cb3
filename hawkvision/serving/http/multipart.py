"""multipart/form-data, taken apart (RFC 2046, section 5.1; RFC 7578). Knows nothing of sockets."""

from __future__ import annotations

import re

from hawkvision.errors import InvalidRequest

_BCHARS = r"0-9A-Za-z'()+_,\-./:=?"
_BOUNDARY = re.compile(
    rf'boundary=(?:"([{_BCHARS} ]{{1,70}})"|([{_BCHARS}]{{1,70}})(?=[;\s]|$))', re.IGNORECASE
)
_NO_HEADERS = b"\r\n"
_END_OF_HEADERS = b"\r\n\r\n"
_MOST_HEADER_BYTES = 16 * 1024
_CHARSET = re.compile(
    rb'^content-disposition:.*;\s*name="?_charset_"?\s*(?:;|$)', re.IGNORECASE | re.MULTILINE
)
_NESTED = re.compile(rb"^content-type:\s*multipart/", re.IGNORECASE | re.MULTILINE)
_NO_HEADER = re.compile(rb"^(?![ \t])[^:\r\n]*\r?$", re.MULTILINE)


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names. Raises InvalidRequest for none or a wrong one."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _malformed("the Content-Type names no boundary")
    return (found[1] or found[2]).rstrip().encode("ascii")


def split_parts(body: bytes, boundary: bytes, most: int) -> list[bytes]:
    """The contents of the parts, without their headers.

    A `_charset_` field (RFC 7578, section 4.6) speaks of text and is left out. Raises
    InvalidRequest for a body that is malformed, breaks off, or has more than `most` parts.
    """
    line = rb"--" + re.escape(boundary) + rb"(?:(--)|[ \t]{0,80}\r\n)"
    delimiter = re.compile(rb"\r\n" + line)
    found = re.compile(line).match(body) or delimiter.search(body)
    if found is None:
        raise _malformed("its boundary does not occur in it")
    parts: list[bytes] = []
    seen = 0
    while found[1] is None:
        seen += 1
        if seen > most:
            raise InvalidRequest(
                f"more than {most} images in one request", hint="Send them in several requests."
            )
        start, headers = _headers(body, found.end())
        found = delimiter.search(body, start - 2)  # the line break before it may be the headers'
        if found is None:
            raise _malformed("it breaks off")
        if not _CHARSET.search(headers):
            parts.append(body[start : found.start()])
    return parts


def _headers(body: bytes, at: int) -> tuple[int, bytes]:
    """Where the content of the part begins whose headers begin at `at`, and the headers."""
    if body.startswith(_NO_HEADERS, at):
        return at + len(_NO_HEADERS), b""
    end = body.find(_END_OF_HEADERS, at, at + _MOST_HEADER_BYTES)
    if end < 0:
        raise _malformed(f"a part's headers do not end within {_MOST_HEADER_BYTES} bytes")
    headers = body[at:end]
    if wrong := _NO_HEADER.search(headers):
        raise _malformed(f"a part's header without a colon, {wrong[0][:40]!r}")
    if _NESTED.search(headers):
        raise InvalidRequest("nested multipart bodies are not read")
    return end + len(_END_OF_HEADERS), headers


def _malformed(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"the multipart body is malformed: {what}",
        hint="Send each image as one part of multipart/form-data.",
    )
