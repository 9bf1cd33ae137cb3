"""Keys and certificates: what the normal client shows, and what attackers have.

Attackers show in turn no key, one that nobody knows, one that has expired, and an insider's: good
for images, streams and reading, at a low rate. Their certificate is an insider's too, whom the
gateway lets in, or one that an authority of their own signed.
"""

from __future__ import annotations

import itertools
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import grpc

from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of, new_key
from hawkvision.serving.access.rate import Rate
from hawkvision.serving.access.scopes import Scope
from tests.certificates import Authority, Signed

CLIENTS = ("edge-1", "normal-1", "insider-1")
"""Whom the gateway lets in."""

INSIDER_RATE = Rate(30.0, 30.0)
_NORMAL = frozenset({Scope.CLASSIFY, Scope.STREAMS})
_INSIDER = frozenset({Scope.CLASSIFY, Scope.STREAMS, Scope.READ})
_turns = itertools.count()


@dataclass(frozen=True, slots=True)
class Access:
    """Paths of PEM files, (certificate, key) in pairs, and keys as clients send them.

    `busy` is a valid key without a rate, for valid overload.
    """

    ca: str
    normal: tuple[str, str]
    insider: tuple[str, str]
    foreign: tuple[str, str]
    key: str
    busy: str
    weak: str
    expired: str

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> Access:
        """As JSON has it."""
        fields: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one for name, one in found.items()
        }
        return cls(**fields)

    def attackers_headers(self) -> dict[str, str]:
        """What the next attacker shows: no key, a wrong one, an expired one, an insider's."""
        turn = next(_turns) % 4
        if turn == 0:
            return {}
        if turn == 1:
            return {"Authorization": f"Bearer hvk_{secrets.token_urlsafe(32)}"}
        return {"X-API-Key": self.expired if turn == 2 else self.weak}

    def context(self, shown: str = "insider", protocol: str = "http/1.1") -> ssl.SSLContext:
        """TLS of a client who shows the certificate `insider`, `foreign`, `normal` or `none`."""
        pair = None if shown == "none" else getattr(self, shown)
        return _context(self.ca, pair, protocol)

    def credentials(self, shown: str = "insider") -> grpc.ChannelCredentials:
        """The same for gRPC."""
        certificate, key = (Path(one).read_bytes() for one in getattr(self, shown))
        return grpc.ssl_channel_credentials(Path(self.ca).read_bytes(), key, certificate)


@lru_cache(maxsize=16)
def _context(ca: str, pair: tuple[str, str] | None, protocol: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols([protocol])
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


@dataclass(frozen=True, slots=True)
class Doors:
    """What a deployment with TLS and keys at every door is started with."""

    access: Access
    authority: Authority
    server: Signed
    edge: Signed
    keys: Path

    @property
    def audit_log(self) -> Path:
        """Where the agent notes who changed what."""
        return self.keys.with_name("audit.jsonl")

    @property
    def password(self) -> Path:
        """The file of the store's password."""
        return self.keys.with_name("password")

    @classmethod
    def make(cls, folder: Path) -> Doors:
        """Files in a folder that is there. Raises OSError."""
        ours, theirs = folder / "ours", folder / "theirs"
        ours.mkdir()
        theirs.mkdir()
        authority = Authority.make(ours)
        server = authority.sign("doors", "IP:127.0.0.1,DNS:localhost")
        edge, normal, insider = (authority.sign(name, f"DNS:{name}") for name in CLIENTS)
        foreign = Authority.make(theirs).sign(CLIENTS[0], f"DNS:{CLIENTS[0]}")
        access = Access(
            str(authority.ca),
            _pair(normal),
            _pair(insider),
            _pair(foreign),
            *(new_key() for _ in range(4)),
        )
        now = time.time()
        kept = (
            Key("normal", digest_of(access.key), _NORMAL, None),
            Key("busy", digest_of(access.busy), _NORMAL, None),
            Key("insider", digest_of(access.weak), _INSIDER, frozenset({""}), INSIDER_RATE),
            Key("expired", digest_of(access.expired), _INSIDER, None, expires_s=now - 60),
        )
        store_keys(folder / "keys.toml", KeyFile(kept))
        return cls(access, authority, server, edge, folder / "keys.toml")


def _pair(signed: Signed) -> tuple[str, str]:
    return str(signed.certificate), str(signed.key)
