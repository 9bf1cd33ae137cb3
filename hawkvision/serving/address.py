"""HOST:PORT, as people write addresses."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hawkvision.errors import InvalidRequest

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_SIX = re.compile(r"\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]")
_RESOLVERS = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:")
"""Beginnings of gRPC's own names (github.com/grpc/grpc, doc/naming.md), which it checks itself."""

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that mean all of a machine, and where it reaches itself."""


def is_resolved(text: str) -> bool:
    """Whether `text` is a name of gRPC's own, which may hold several addresses."""
    return text.startswith(_RESOLVERS)


def check_target(text: str) -> str:
    """`text` if it is HOST:PORT (IPv6 in brackets) or a name of gRPC's. Raises InvalidRequest."""
    if is_resolved(text):
        return text
    host, colon, port = text.rpartition(":")
    hint = "Give HOST:PORT, for example dc.example:8001 or [::1]:8001."
    if "://" in text:
        parts = urlsplit(text)
        raise InvalidRequest(
            f"{text!r} is a URL, not HOST:PORT",
            hint=f"Give {parts.netloc}." if parts.netloc else hint,
        )
    if not colon:
        raise InvalidRequest(f"{text!r} names no port", hint=hint)
    if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536 and len(port) < 6):
        raise InvalidRequest(f"{text!r}: {port!r} is no port", hint=hint)
    if not (_NAME.fullmatch(host) or _SIX.fullmatch(host)):
        raise InvalidRequest(f"{text!r}: {host!r} is no host", hint=hint)
    return text


def first_of(target: str) -> tuple[str, int] | None:
    """Host and port of HOST:PORT, of gRPC's own names the first address; None where it is none."""
    host, _, port = target.rpartition("/")[2].partition(",")[0].rpartition(":")
    host = host.removeprefix("dns:").removeprefix("ipv4:").removeprefix("ipv6:").strip("[]")
    return (host, int(port)) if port.isascii() and port.isdecimal() and len(port) < 6 else None


def bracketed(host: str) -> str:
    """A host as it stands in a URL: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
