"""Origins of web pages (RFC 6454), and which of them may ask an agent from a browser."""

from __future__ import annotations

from urllib.parse import urlsplit

from hawkvision.errors import InvalidRequest

_PORTS = {"http": 80, "https": 443}


def parse_origin(text: str) -> str:
    """An origin as browsers write it: scheme and host in small letters, no port that goes without
    saying. Raises InvalidRequest for anything else; `*` is no origin."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _wrong(text) from error
    rest = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in _PORTS or not parts.hostname or rest:
        raise _wrong(text)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    said = port is None or port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if said else f"{parts.scheme}://{host}:{port}"


def _wrong(text: str) -> InvalidRequest:
    return InvalidRequest(
        f"{text[:80]!r} is no origin", hint="Scheme, host and perhaps port: https://shop.example."
    )
