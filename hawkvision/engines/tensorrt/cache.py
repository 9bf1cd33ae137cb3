"""Built engines and kernel timings on disk: only what this machine built is ever read back.

An engine is a program, and NVIDIA says itself that one from elsewhere must not be loaded. So the
folder is the user's alone (`hawkvision.engines.caches`), and every file carries an HMAC-SHA256 over
its key and content, under a secret that is drawn at random on this machine, kept beside the files
with mode 0600, and bound to `/etc/machine-id`: a file that was copied in, a backup of another
machine or a disk's image restored elsewhere is not loaded but built anew. Against somebody who
already acts as this user nothing of this helps, nor could it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hawkvision.engines.caches import private_folder, read_own, write_whole
from hawkvision.errors import EngineError

_log = logging.getLogger("hawkvision.engines.tensorrt")
_MAGIC = b"HawkVision engine 1\n"
_MAC_BYTES = 32
_SECRET = "secret"
_SECRET_BYTES = 32
MOST_ENGINES = 32
"""Engines that are kept; the ones that were longest not used go."""

Key = Mapping[str, Any]


class EngineCache:
    """Sealed files in one folder, by key. Usable from several processes at once."""

    def __init__(self, folder: Path, machine: Path = Path("/etc/machine-id")) -> None:
        """Open the folder, made if need be. Raises EngineError if others can reach into it."""
        self._folder = private_folder(folder)
        self._secret = self._bound(_secret(folder / _SECRET), machine)

    @staticmethod
    def _bound(secret: bytes, machine: Path) -> bytes:
        try:
            identity = machine.read_bytes().strip()
        except OSError:
            identity = b""
        return hmac.new(secret, b"machine\0" + identity, hashlib.sha256).digest()

    def load(self, kind: str, key: Key) -> bytes | None:
        """What was stored under `kind` and `key` on this machine, or None."""
        path = self._path(kind, key)
        sealed = read_own(path)
        if sealed is None:
            if path.exists() or path.is_symlink():
                _log.warning("tensorrt: %s is not this user's alone; not loaded", path)
            return None
        start = len(_MAGIC) + _MAC_BYTES
        mac, content = sealed[len(_MAGIC) : start], sealed[start:]
        if sealed[: len(_MAGIC)] != _MAGIC or not hmac.compare_digest(
            mac, self._mac(kind, key, content)
        ):
            _log.warning("tensorrt: %s was not written by this machine; not loaded", path)
            return None
        with contextlib.suppress(OSError):
            os.utime(str(path))
        return content

    def store(self, kind: str, key: Key, content: bytes) -> None:
        """Keep it, whole or not at all; the oldest go. Raises EngineError."""
        path = self._path(kind, key)
        try:
            write_whole(path, _MAGIC + self._mac(kind, key, content) + content)
            self._prune()
        except OSError as error:
            raise EngineError(
                f"tensorrt: {path} cannot be kept: {error.strerror or error}",
                hint="It is built again at every start until there is room.",
            ) from error

    def _prune(self) -> None:
        files = sorted(self._folder.glob("*.engine"), key=lambda path: path.stat().st_mtime)
        for path in files[:-MOST_ENGINES]:
            path.unlink()

    def _path(self, kind: str, key: Key) -> Path:
        return self._folder / (f"{hashlib.sha256(_text(key)).hexdigest()[:32]}.{kind}")

    def _mac(self, kind: str, key: Key, content: bytes) -> bytes:
        text = _text(key)
        head = b"%s\0%d\0" % (kind.encode(), len(text))
        return hmac.new(self._secret, head + text + content, hashlib.sha256).digest()


def _text(key: Key) -> bytes:
    return json.dumps(dict(key), sort_keys=True).encode()


def _secret(path: Path) -> bytes:
    """The folder's secret, drawn at its first use. Raises EngineError."""
    found = read_own(path)
    if found is None:  # not asked again before: another process may draw one in between
        try:
            _draw(path)
        except OSError as error:
            raise EngineError(
                f"tensorrt: no cache of engines at {path.parent}: {error.strerror or error}"
            ) from error
        found = read_own(path)
    if found is None or len(found) != _SECRET_BYTES or path.stat().st_mode & 0o077:
        raise EngineError(
            f"tensorrt: {path} is damaged, or open to others",
            hint=f"Remove the folder {path.parent}; engines are built again.",
        )
    return found


def _draw(path: Path) -> None:
    """Put a secret there unless another process was faster: a link never replaces a file."""
    own = path.with_name(f".secret-{secrets.token_hex(8)}")
    write_whole(own, secrets.token_bytes(_SECRET_BYTES))
    try:
        os.link(str(own), str(path))
    except FileExistsError:
        pass
    finally:
        own.unlink()
