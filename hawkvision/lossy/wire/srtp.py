"""SRTP and SRTCP (RFC 3711, RFC 7714) by libsrtp, with one fresh key for each stream.

Both directions use the stream's key under different SSRCs. A key is never used again: a stream
that begins anew gets another one, because a restarted sequence under the same key and SSRC repeats
the keystream, and because libsrtp cannot be told a rollover counter.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hawkvision.errors import HawkVisionError, InvalidRequest


@dataclass(frozen=True, slots=True)
class Suite:
    """Bytes of key and salt together, bytes added to a packet, and what tools call it."""

    name: str
    key_bytes: int
    tag_bytes: int
    profile: str
    gstreamer: str


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "AES_CM_128_HMAC_SHA1_80",
            30,
            10,
            "SRTP_PROFILE_AES128_CM_SHA1_80",
            "rtp-cipher=aes-128-icm rtp-auth=hmac-sha1-80 "
            "rtcp-cipher=aes-128-icm rtcp-auth=hmac-sha1-80",
        ),
        Suite(
            "AEAD_AES_128_GCM",
            28,
            16,
            "SRTP_PROFILE_AEAD_AES_128_GCM",
            "rtp-cipher=aes-128-gcm rtp-auth=null rtcp-cipher=aes-128-gcm rtcp-auth=null",
        ),
    )
}
DEFAULT_SUITE = "AES_CM_128_HMAC_SHA1_80"
PLAIN = "none"
_WINDOW = 1024
LARGEST = 1500
"""Bytes of a protected packet: pylibsrtp's buffer. One to be sent leaves room for the largest
trailer in it, whatever its suite adds: LARGEST_RTP and LARGEST_RTCP before protection."""
LARGEST_RTP = LARGEST - 144
LARGEST_RTCP = LARGEST - 148


def suite_named(name: str) -> Suite | None:
    """The suite, or None for `none`. Raises InvalidRequest."""
    if name == PLAIN:
        return None
    found = SUITES.get(name)
    if found is None:
        raise InvalidRequest(
            f"no SRTP suite {name[:60]!r}", hint=f"One of {', '.join(SUITES)}, or none on loopback."
        )
    return found


def new_key(suite: Suite) -> bytes:
    """A fresh master key and salt."""
    return secrets.token_bytes(suite.key_bytes)


def _library() -> Any:
    try:
        import pylibsrtp
    except ImportError as error:
        raise HawkVisionError(
            "SRTP needs libsrtp, which is not installed", hint="pip install pylibsrtp"
        ) from error
    return pylibsrtp


def _session(suite: Suite, key: bytes, ssrc: int) -> Any:
    """A libsrtp session for one SSRC; nothing may be sent twice under one index."""
    library = _library()
    policy = library.Policy(
        key=key,
        ssrc_type=library.Policy.SSRC_SPECIFIC,
        ssrc_value=ssrc,
        srtp_profile=getattr(library.Policy, suite.profile),
    )
    policy.allow_repeat_tx = False
    policy.window_size = _WINDOW
    return library.Session(policy=policy)


class Inbound:
    """Checks and decrypts one sender's packets; copies are refused."""

    def __init__(self, suite: Suite, key: bytes, ssrc: int) -> None:
        session = _session(suite, key, ssrc)
        self._of = (suite, key, ssrc)
        self._error: type[Exception] = _library().Error
        self._rtp: Callable[[bytes], bytes] = session.unprotect
        self._rtcp: Callable[[bytes], bytes] = session.unprotect_rtcp

    def rtp(self, packet: bytes) -> bytes | None:
        """The RTP packet, or None for one that is not authentic or was seen before."""
        return self._checked(self._rtp, packet)

    def rtcp(self, packet: bytes) -> bytes | None:
        """As `rtp`, for RTCP."""
        return self._checked(self._rtcp, packet)

    def from_the_beginning(self, packet: bytes) -> bytes | None:
        """As `rtp` for a sender that has just begun (rollover counter 0), copies included.

        Tells only who sent a packet; what it holds must not be used, as it may be a replay.
        """
        return self._checked(_session(*self._of).unprotect, packet)

    def _checked(self, unprotect: Callable[[bytes], bytes], packet: bytes) -> bytes | None:
        try:
            return unprotect(packet)
        except (self._error, TypeError, ValueError):  # ValueError: over LARGEST
            return None


class Outbound:
    """Encrypts and signs what is sent under one SSRC."""

    def __init__(self, suite: Suite, key: bytes, ssrc: int) -> None:
        session = _session(suite, key, ssrc)
        self.rtp: Callable[[bytes], bytes] = session.protect
        self.rtcp: Callable[[bytes], bytes] = session.protect_rtcp
