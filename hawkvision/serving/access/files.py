"""The file of keys on disk: read, watched while a service runs, and written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hawkvision.errors import HawkVisionError
from hawkvision.serving.access.keyfile import KeyFile, parse_keys, write_keys
from hawkvision.serving.access.ring import KeyRing

_log = logging.getLogger(__name__)
_MOST_BYTES = 8 * 1024 * 1024
Parse = Callable[[str], KeyFile]
Mark = tuple[int, int, int]


def read_keys(path: Path, parse: Parse = parse_keys) -> KeyFile:
    """The keys of a file. Raises HawkVisionError, naming it."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        return parse(data.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise HawkVisionError(
            f"{path} holds no keys: {error}", hint="`hawkvision keys create` writes such a file."
        ) from error
    except HawkVisionError as error:
        raise HawkVisionError(f"{path}: {error.message}", hint=error.hint) from error


def store_keys(path: Path, found: KeyFile) -> None:
    """Write it whole, readable by its owner alone. Raises HawkVisionError, and has changed nothing
    then."""
    made: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # 0600
        made = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(write_keys(found))
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    except OSError as error:
        if made is not None:
            with contextlib.suppress(OSError):
                made.unlink()
        raise HawkVisionError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="Its folder has to be yours to write to.",
        ) from error


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Nobody else changes the files of this folder meanwhile. Raises HawkVisionError."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise HawkVisionError(f"no folder {path.parent}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


class KeyWatch:
    """Takes over what a file says when it has changed; a broken one keeps the keys in force.

    `told` is told of every change: whether it was taken over, and a text. `seen` is the mark of the
    file as it was before the ring's keys were read.
    """

    def __init__(
        self,
        path: Path,
        parse: Parse,
        ring: KeyRing,
        told: Callable[[bool, str], None],
        seen: Mark | None,
    ) -> None:
        self._path = path
        self._parse = parse
        self._ring = ring
        self._told = told
        self._seen = seen

    def look(self, *, anyway: bool = False) -> None:
        """Read the file if it has changed since, or `anyway`. Blocks; for any thread."""
        mark = mark_of(self._path)
        if mark == self._seen and not anyway:
            return
        self._seen = mark
        try:
            found = read_keys(self._path, self._parse)
        except HawkVisionError as error:
            _log.error("keys are as before: %s", error)
            self._told(False, error.message)
            return
        self._ring.replace(found)
        said = f"{len(found.keys)} keys are in force"
        _log.info("%s: %s", self._path, said)
        self._told(True, said)


def mark_of(path: Path) -> Mark | None:
    """Differs when a file was replaced or written to; None where there is none."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None
