"""Whom a connection trusts, and why there was none, in words."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from hawkvision.errors import AgentUnreachable

_START = "Start one with `hawkvision up`, or give --url."
_PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


def trusted(url: str, ca: str | Path | None) -> ssl.SSLContext | None:
    """The authorities that may vouch for an agent at `url`; None where TLS is not asked for.

    `ca` is a file of one's own; by default those that this machine trusts, or that the environment
    variable SSL_CERT_FILE names now. Raises OSError for a file that cannot be read.
    """
    return ssl.create_default_context(cafile=ca) if url.startswith("https://") else None


def unreachable(url: str, error: Exception) -> AgentUnreachable:
    """The error for a connection that failed; where TLS refused it, with the reason."""
    refusals = [one for one in _causes(error) if isinstance(one, ssl.SSLError)]
    if not refusals:
        hint = _START
        if url.startswith("http://") and "Disconnected" in _names(error):
            hint = f"It closed the connection: if it serves TLS, say https. {_START}"
        return AgentUnreachable(f"no agent answers at {url}: {type(error).__name__}", hint=hint)
    refused = refusals[-1]  # the innermost is OpenSSL's own
    if isinstance(refused, ssl.SSLCertVerificationError):
        return AgentUnreachable(
            f"the agent at {url} is not trusted: {refused.verify_message}",
            hint="Give the authority that signed its certificate: SSL_CERT_FILE=ca.pem, or "
            "Client(url, ca='ca.pem').",
        )
    what = refused.reason or str(refused)
    return AgentUnreachable(
        f"no TLS with {url}: {what}",
        hint="The agent probably speaks plain HTTP; say http://."
        if what in _PLAIN
        else "Check the certificates and the TLS versions of both sides.",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that is wrapped in it, whichever way a library wraps."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *one.args]
        waiting += [
            getattr(one, name, None) for name in ("reason", "certificate_error", "os_error")
        ]


def _names(error: BaseException) -> str:
    return " ".join(type(one).__name__ for one in _causes(error))
