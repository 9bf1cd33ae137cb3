"""A certificate authority of a test's own, made by the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Authority:
    """PEM files: an authority, and what it signed for 127.0.0.1 and localhost."""

    ca: Path
    certificate: Path
    key: Path

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
