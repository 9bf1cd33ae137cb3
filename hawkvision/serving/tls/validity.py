"""What others will say of our own certificate: a handshake with ourselves, in memory.

The standard library parses no certificate that it does not verify. So OpenSSL verifies ours, with
itself as the authority: what is left to find are its times and what it may be used for.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from hawkvision.serving.tls.files import PemFiles

_STEPS = 4
"""Turns that each side takes at most; TLS 1.3 needs two."""


@dataclass(frozen=True, slots=True)
class Validity:
    """`fault` is why nobody will take the certificate, nothing where it is right.

    `not_after` is when it ends, seconds since the epoch; None where it is not right.
    """

    fault: str = ""
    not_after: float | None = None

    def fault_at(self, now: float) -> str:
        """As `fault`, at a time, maybe later than it was read (seconds since the epoch)."""
        late = self.not_after is not None and now > self.not_after
        return "certificate has expired" if late else self.fault


def validity(files: PemFiles, *, of_server: bool) -> Validity:
    """Of a certificate as a server's or a client's. Raises OSError for what cannot be read."""
    if files.cert is None:
        return Validity()
    server, client = (
        ssl.SSLContext(side) for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for one in (server, client):
        one.load_cert_chain(files.cert, files.key)
    judge = client if of_server else server
    judge.load_verify_locations(files.cert)
    judge.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    judge.verify_mode = ssl.CERT_REQUIRED
    try:
        found = _shake(server, client, of_server=of_server)
    except ssl.SSLCertVerificationError as error:
        return Validity(error.verify_message)
    except ssl.SSLError:
        return Validity()  # what else is wrong is the other side's to say
    text = str(found.get("notAfter", ""))
    return Validity("", float(ssl.cert_time_to_seconds(text)) if text else None)


def _shake(server: ssl.SSLContext, client: ssl.SSLContext, *, of_server: bool) -> dict[str, object]:
    """The certificate as the judging side sees it. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(_STEPS):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return dict(sides[0 if of_server else 1].getpeercert() or {})
