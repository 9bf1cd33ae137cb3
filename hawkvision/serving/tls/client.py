"""A client's side of TLS from options: whom it trusts, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hawkvision.errors import HawkVisionError
from hawkvision.serving.tls.files import PemFiles
from hawkvision.serving.tls.watched import WatchedPems


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What stands behind `--gateway-ca`, `-cert`, `-key` and `-name`, or `--upstream-…`.

    With `ca` TLS is spoken, and without in the clear. `name` stands in the servers' certificates
    where the hosts that they are reached at do not.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    name: str | None = None

    def watched(self, option: str) -> WatchedPems | None:
        """The files; None for no TLS. `option` is how the options begin, as in `--gateway`.

        Raises HawkVisionError for a part of them, and for files that are not right.
        """
        if self.ca is None:
            if self.cert or self.key or self.name:
                raise HawkVisionError(
                    f"TLS: {option}-cert, {option}-key and {option}-name need {option}-ca",
                    hint="Without it nothing is spoken under TLS.",
                )
            return None
        if (self.cert is None) != (self.key is None):
            raise HawkVisionError(
                f"TLS: {option}-cert and {option}-key belong together", hint="Give both."
            )
        files = PemFiles(self.cert, self.key, self.ca)
        return WatchedPems(files, f"certificates for {option}")
