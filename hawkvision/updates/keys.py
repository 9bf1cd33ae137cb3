"""The publisher's keys: files under a passphrase, or wherever securesystemslib finds them.

`keys.json` names each key's role, its public part, and a URI of the private one: `file:NAME.pem`
beside it (PKCS#8, encrypted), or any that securesystemslib knows, as `hsm:` and `gcpkms:`. A key
whose file is not here is offline, and what needs no such key goes on without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from hawkvision.errors import RepositoryError

SCHEMA = 1
_FILE = "keys.json"
_PREFIX = "file:"
ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
DAYS: Mapping[str, float] = {ROOT: 365, TARGETS: 90, SNAPSHOT: 7, TIMESTAMP: 1}
"""How long what a role signs is good; roles of tasks as long as `targets`."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key of a role: its public part, and where the private one is."""

    role: str
    uri: str
    public: Key


class KeyRing:
    """The keys of one publisher, in a folder. `passphrase` opens files of private keys."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self.days = dict(DAYS)
        self._keys: list[KnownKey] = []

    @classmethod
    def open(cls, folder: Path, passphrase: bytes) -> KeyRing:
        """Read `folder/keys.json`. Raises RepositoryError."""
        ring = cls(folder, passphrase)
        path = folder / _FILE
        try:
            raw = orjson.loads(path.read_bytes())
            if raw["schema"] != SCHEMA:
                raise ValueError(f"schema {raw['schema']} is not {SCHEMA}")
            ring.days |= {str(role): float(days) for role, days in raw["days"].items()}
            ring._keys = [
                KnownKey(
                    str(one["role"]),
                    str(one["uri"]),
                    Key.from_dict(one["keyid"], dict(one["public"])),
                )
                for one in raw["keys"]
            ]
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise RepositoryError(
                f"{path} cannot be read: {error}",
                hint="Make keys with `hawkvision updates init SITE --keys DIR`.",
            ) from error
        return ring

    def save(self) -> None:
        """Write `keys.json`, which holds no secrets."""
        body = {
            "schema": SCHEMA,
            "days": self.days,
            "keys": [
                {
                    "role": one.role,
                    "uri": one.uri,
                    "keyid": one.public.keyid,
                    "public": one.public.to_dict(),
                }
                for one in self._keys
            ],
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / _FILE).write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")

    def make(self, role: str) -> Key:
        """A new Ed25519 key for a role, its file readable by its owner alone."""
        private = Ed25519PrivateKey.generate()
        public = SSlibKey.from_crypto(private.public_key())
        name = f"{role}-{public.keyid[:8]}.pem"
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(
            private.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase)
            )
        )
        self._keys.append(KnownKey(role, _PREFIX + name, public))
        return public

    def retire(self, role: str) -> list[Key]:
        """A role's keys so far, which sign for it no more but are kept for a last time."""
        old = [one.public for one in self._keys if one.role == role]
        self._keys = [
            replace(one, role=f"{role}.retired") if one.role == role else one for one in self._keys
        ]
        return old

    def public(self, role: str) -> list[Key]:
        """The public keys of a role."""
        return [one.public for one in self._keys if one.role == role]

    def signers(self, role: str) -> list[Signer]:
        """Those of a role's keys that are here. Raises RepositoryError for a wrong passphrase."""
        found = (self._signer(one) for one in self._keys if one.role == role)
        return [signer for signer in found if signer is not None]

    def needed(self, role: str, count: int = 1) -> Sequence[Signer]:
        """At least `count` signers of a role. Raises RepositoryError."""
        found = self.signers(role)
        if len(found) < count:
            raise RepositoryError(
                f"{count} of the keys of {role!r} are needed, and {len(found)} are here",
                hint=f"Bring the files that keys.json names into {self._folder}.",
            )
        return found

    def _signer(self, key: KnownKey) -> Signer | None:
        try:
            if not key.uri.startswith(_PREFIX):
                return Signer.from_priv_key_uri(key.uri, key.public)
            path = self._folder / key.uri.removeprefix(_PREFIX)
            if not path.is_file():
                return None
            private: Any = load_pem_private_key(path.read_bytes(), self._passphrase)
            assert isinstance(key.public, SSlibKey)
            return CryptoSigner(private, key.public)
        except Exception as error:  # each kind of signer raises what it likes
            raise RepositoryError(
                f"the key {key.uri} of {key.role!r} cannot be used: {error}",
                hint="Is the passphrase right?",
            ) from error
