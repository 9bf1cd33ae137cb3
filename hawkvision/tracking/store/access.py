"""What is known of a store beside its address: files, so that no command line holds a secret."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hawkvision.errors import InvalidRequest

_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """PEM files for TLS, and a file with the password of the store's user."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    password_file: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Those that are named."""
        files = (self.ca, self.cert, self.key, self.password_file)
        return [path for path in files if path is not None]

    def password(self) -> str | None:
        """The file's first line; None without a file. Raises InvalidRequest, and tells no more."""
        if self.password_file is None:
            return None
        try:
            with self.password_file.open("rb") as file:
                text = file.read(_MOST_BYTES).decode("utf-8")
        except (OSError, ValueError) as error:
            kind = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            raise InvalidRequest(f"--store-password-file {self.password_file}: {kind}") from None
        first = text.partition("\n")[0].removesuffix("\r")
        if not first:
            raise InvalidRequest(f"--store-password-file {self.password_file}: it is empty")
        return first
