"""Folders of the user's cache that nobody else can write to, and files that appear whole.

Engines of GPU libraries are programs: who can replace one runs code in the service. Runs under
Python 3.8 too (see `hawkvision.engines.worker`).
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from hawkvision.errors import EngineError


def cache_folder(*parts: str) -> Path:
    """`$XDG_CACHE_HOME/hawkvision/engines/…` (XDG base directories); nothing is created.

    Raises EngineError where there is neither that nor a home.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        home = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise EngineError(
            "there is no folder for built engines: neither XDG_CACHE_HOME nor a home is set",
            hint="Set XDG_CACHE_HOME to a folder of the service's own.",
        ) from error
    return home.joinpath("hawkvision", "engines", *parts)


def private_folder(path: Path) -> Path:
    """Create `path` with mode 0700, or check that it is ours alone. Raises EngineError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise EngineError(
            f"no cache of built engines at {path}: {error.strerror or error}",
            hint="Set XDG_CACHE_HOME to a folder of the service's own.",
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise EngineError(f"{path} is no folder", hint="Remove it.")
    if found.st_uid != os.geteuid():
        raise EngineError(
            f"{path} belongs to user {found.st_uid}, not to this one ({os.geteuid()})",
            hint="Built engines are programs; remove it, or set XDG_CACHE_HOME.",
        )
    if found.st_mode & 0o077:
        raise EngineError(
            f"{path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o})",
            hint="Built engines are programs; remove it, and it is made anew with mode 0700.",
        )
    return path


def read_own(path: Path) -> bytes | None:
    """A regular file of ours that no other user can write, else None. Follows no link."""
    try:
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(stream.fileno())
        ours = found.st_uid == os.geteuid() and not found.st_mode & 0o022
        return stream.read() if ours and stat.S_ISREG(found.st_mode) else None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, mode 0600, whole or not at all, also across a power cut. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=".part-", dir=str(path.parent))
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
    folder = os.open(str(path.parent), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
