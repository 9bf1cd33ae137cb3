"""A server's side of TLS: one context for all of its life, whose handshakes take the newest files.

Event loops and listeners keep the context that they were given. So it stays, and each handshake
moves on to the context of the files as they are (`sni_callback`: chain, key and authorities are
then that one's). Source: docs.python.org, ssl, "SSLContext.sni_callback".
"""

from __future__ import annotations

import ssl
from pathlib import Path

from hawkvision.errors import HawkVisionError
from hawkvision.serving.tls.files import PemFiles, load_into
from hawkvision.serving.tls.watched import WatchedPems


def server_files(cert: Path | None, key: Path | None, ca: Path | None = None) -> PemFiles | None:
    """A server's files; None without any. Raises HawkVisionError for a part of them."""
    if cert is None and key is None and ca is None:
        return None
    if cert is None or key is None:
        given, lacks = ("--tls-cert", "--tls-key") if cert else ("--tls-key", "--tls-cert")
        if cert is None and key is None:
            given, lacks = "--tls-client-ca", "--tls-cert and --tls-key"
        raise HawkVisionError(f"TLS: {given} without {lacks}", hint="Give all of them.")
    return PemFiles(cert, key, ca)


class ServerTls:
    """With `ca` among the files, clients must show a certificate that one of these signed.

    Raises HawkVisionError for files that are not right.
    """

    def __init__(self, files: PemFiles, what: str = "the server's certificate") -> None:
        self.watched = WatchedPems(files, what, _context)
        self.context = self.watched.context
        # Called at every handshake, whether the client names a host or not.
        self.context.sni_callback = self._newest

    @property
    def asks_clients(self) -> bool:
        """Whether clients must show a certificate."""
        return self.watched.files.ca is not None

    def _newest(self, handshake: ssl.SSLSocket | ssl.SSLObject, *_: object) -> None:
        handshake.context = self.watched.context


def _context(files: PemFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_into(context, files)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        # A session that goes on would not be asked again once an authority is taken away.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
    return context
