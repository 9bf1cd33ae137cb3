"""A certificate authority of a test's own, made by the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Signed:
    """PEM files of one certificate and its key."""

    certificate: Path
    key: Path

    def replace_with(self, other: Signed) -> None:
        """As one who renews does: the key, then the certificate, each whole."""
        for mine, theirs in ((self.key, other.key), (self.certificate, other.certificate)):
            beside = mine.with_suffix(".new")
            shutil.copyfile(theirs, beside)
            beside.replace(mine)

    def copy(self, folder: Path) -> Signed:
        """The same in files of their own."""
        folder.mkdir(exist_ok=True)
        return Signed(
            Path(shutil.copy(self.certificate, folder)), Path(shutil.copy(self.key, folder))
        )


def _openssl(*words: list[str | Path | int]) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    line = [program, *(str(word) for some in words for word in some)]
    subprocess.run(line, check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Authority:
    """PEM files: an authority, and what it signed for 127.0.0.1 and localhost."""

    ca: Path
    certificate: Path
    key: Path

    def sign(self, name: str, names: str = "", *, days: int = 2, usage: str = "") -> Signed:
        """A certificate for CN=`name`, in a file of that name; expired with `days` below zero.

        `names` is its subjectAltName, none if empty, `usage` its extendedKeyUsage.
        """
        folder = self.ca.parent
        certificate, key, request = (folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        extension = folder / f"{name}.extension"
        lines = [f"subjectAltName={names}"] if names else []
        lines += [f"extendedKeyUsage={usage}"] if usage else []
        extension.write_text("\n".join([*lines, "basicConstraints=CA:FALSE", ""]))
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl(
            ["req", *curve, "-nodes", "-batch"],
            ["-subj", f"/CN={name}", "-keyout", key, "-out", request],
        )
        _openssl(
            ["x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca.with_suffix(".key")],
            ["-CAcreateserial", "-days", days, "-extfile", extension, "-out", certificate],
        )
        return Signed(certificate, key)

    @classmethod
    def make(cls, folder: Path, names: str = "IP:127.0.0.1,DNS:localhost") -> Authority:
        """In a folder that is there. Skips the test where there is no openssl."""
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("openssl is not installed")
        ca, ca_key = folder / "ca.pem", folder / "ca.key"
        certificate, key, request = (folder / f"server.{end}" for end in ("pem", "key", "csr"))
        extension = folder / "extension"
        extension.write_text(f"subjectAltName={names}\n")
        new = ["req", "-newkey", "rsa:2048", "-nodes", "-batch"]
        for words in (
            [*new, "-x509", "-days", "2", "-subj", "/CN=ours", "-keyout", ca_key, "-out", ca],
            [*new, "-subj", "/CN=server", "-keyout", key, "-out", request],
            [
                *("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial"),
                *("-days", "2", "-extfile", extension, "-out", certificate),
            ],
        ):
            subprocess.run([program, *map(str, words)], check=True, capture_output=True)
        return cls(ca, certificate, key)
