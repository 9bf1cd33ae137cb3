"""TLS contexts from PEM files."""

from __future__ import annotations

import ssl
from pathlib import Path

from hawkvision.errors import HawkVisionError


def server_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """A server's context from a PEM chain and its key; None without either.

    Raises HawkVisionError for files that do not fit together.
    """
    if cert is None and key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        if cert is None:
            raise ValueError("--tls-key without --tls-cert")
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        raise HawkVisionError(
            f"TLS: {error}", hint="Give PEM files that belong together."
        ) from error
    return context
