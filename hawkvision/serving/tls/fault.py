"""Why a handshake fails, in words: gRPC says "Socket closed" of most that a server refuses.

Where TLS 1.3 asks for our certificate the other side judges it after our handshake is over (RFC
8446, section 4.4.2), so that one byte is waited for. gRPC's servers hang up then and send no alert;
others send one. Blocks: call it on a thread.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from hawkvision.serving.tls.files import said

_PATIENCE_S = 2.0

_ALERTS = {
    "CERTIFICATE_REQUIRED": "it asks for our certificate, and none is given",
    "UNKNOWN_CA": "it does not know the authority of our certificate",
    "CERTIFICATE_EXPIRED": "our certificate has expired",
    "CERTIFICATE_REVOKED": "our certificate is revoked",
    "BAD_CERTIFICATE": "it does not accept our certificate",
    "CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "UNSUPPORTED_CERTIFICATE": "it does not accept our kind of certificate",
    "HANDSHAKE_FAILURE": "it wants another kind of TLS, or our certificate",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "RECORD_LAYER_FAILURE": "it does not speak TLS",
    "NO_APPLICATION_PROTOCOL": "it does not speak HTTP/2",
}
"""By the end of OpenSSL's name for what happened."""


@dataclass(frozen=True, slots=True)
class OurSide:
    """What we come with: whether with a certificate, and the server's name where not its host."""

    context: ssl.SSLContext
    shows: bool
    name: str | None = None


def fault_of_handshake(host: str, port: int, ours: OurSide | None) -> str:
    """Nothing where TLS comes about, or nobody is there. Never raises.

    `ours` None: we speak in the clear; said is then whether the other side wants TLS.
    """
    try:
        link = socket.create_connection((host, port), _PATIENCE_S)
    except (OSError, ValueError):
        return ""
    with link:
        return _wants_tls(link) if ours is None else _fault(link, host, ours)


def _fault(link: socket.socket, host: str, ours: OurSide) -> str:
    try:
        with ours.context.wrap_socket(link, server_hostname=ours.name or host) as secure:
            if secure.recv(1):
                return ""
    except TimeoutError:
        return ""
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not accepted: {error.verify_message}"
    except ssl.SSLEOFError:
        pass
    except ssl.SSLError as error:
        reason = error.reason or ""
        return next((words for end, words in _ALERTS.items() if reason.endswith(end)), said(error))
    except OSError:
        pass
    if ours.shows:
        return "it hangs up once it has our certificate"
    return "it hangs up as we show no certificate"


def _wants_tls(link: socket.socket) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(link):
            return "it speaks TLS, and is spoken to in the clear"
    except (OSError, ValueError):
        return ""
