"""PEM files of one side: a chain with its key, and the authorities that the side trusts.

What is read is one state of the files that fits together; a key that is half-written, or of another
certificate, is none.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hawkvision.errors import HawkVisionError

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Of each file its inode, size and time of change (ns); None where it is not there."""

_TRIES = 5


@dataclass(frozen=True, slots=True)
class PemFiles:
    """`cert` and `key` belong together and are there both or not at all; `ca` may stand alone."""

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Those that are named."""
        return [path for path in (self.cert, self.key, self.ca) if path is not None]

    def stamp(self) -> Stamp:
        """What tells whether a file has changed, through links too. Never raises."""
        return tuple(map(_stamp, self.paths))


@dataclass(frozen=True, slots=True)
class Pems:
    """What the files hold; `key` is a secret."""

    cert: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    ca: bytes | None = None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def read_with(files: PemFiles, make: Callable[[], ssl.SSLContext]) -> tuple[Pems, ssl.SSLContext]:
    """The files' bytes, and what `make` makes of the same files.

    OpenSSL reads files by their names alone, so they are read before and after, until both agree.
    Raises HawkVisionError.
    """
    try:
        before = _bytes(files)
        for _ in range(_TRIES):
            made = make()
            after = _bytes(files)
            if after == before:
                return after, made
            before = after
        raise ValueError("the files change while they are read")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise HawkVisionError(
            f"TLS: {said(error)}", hint="Give PEM files that can be read and belong together."
        ) from error


def said(error: Exception) -> str:
    """What an error of TLS says, without the line of OpenSSL's source."""
    text = error.strerror if isinstance(error, ssl.SSLError) and error.strerror else str(error)
    return text.partition(" (_ssl.c")[0]


def _bytes(files: PemFiles) -> Pems:
    three = (files.cert, files.key, files.ca)
    return Pems(*(None if one is None else one.read_bytes() for one in three))


def client_context(files: PemFiles) -> ssl.SSLContext:
    """A client's, for HTTP/2. Raises OSError or ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    load_into(context, files)
    return context


def load_into(context: ssl.SSLContext, files: PemFiles) -> None:
    """Chain, key and authorities. Raises OSError or ValueError."""
    if files.cert is not None:
        _with_name(files.cert, lambda: _load_chain(context, files))
    if files.ca is not None:
        _with_name(files.ca, lambda: context.load_verify_locations(files.ca))


def _load_chain(context: ssl.SSLContext, files: PemFiles) -> None:
    assert files.cert is not None
    context.load_cert_chain(files.cert, files.key, password=_no_passphrase)


def _no_passphrase() -> str:
    """Else OpenSSL would ask for it at the terminal, for ever."""
    raise ValueError("the key has a passphrase; give one without, readable by this user alone")


def _with_name(path: Path, load: Callable[[], None]) -> None:
    """`load`, whose errors then say which file they are about."""
    try:
        load()
    except ssl.SSLError as error:
        raise ValueError(f"{path}: {said(error)}") from error
