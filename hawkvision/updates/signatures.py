"""Signatures of model folders by others: OpenSSF Model Signing (OMS) with a bare key.

A bundle is a detached signature over the digests of all files of a folder. It says who made them,
and nothing of whether they are the newest. Source: github.com/ossf/model-signing-spec.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hawkvision.errors import RepositoryError

MAX_BUNDLE_BYTES = 64 * 1024**2


def available() -> bool:
    """Whether what verifies such signatures is installed."""
    return all(find_spec(name) is not None for name in ("model_signing", "OpenSSL"))


def verify_folder(folder: Path, bundle: Path, public_key: Path) -> None:
    """Check that a bundle by this key (PEM, elliptic curve) covers exactly the folder's files.

    Raises RepositoryError, also where `available` is false.
    """
    if not available():
        raise RepositoryError(
            "signatures of model folders need model-signing, which is not installed",
            hint="pip install 'hawkvision[signatures]'.",
        )
    if bundle.stat().st_size > MAX_BUNDLE_BYTES:
        raise RepositoryError(f"{bundle} has more than {MAX_BUNDLE_BYTES} bytes")
    from model_signing import verifying

    config: Any = verifying.Config()  # type: ignore[no-untyped-call]
    try:
        config.use_elliptic_key_verifier(public_key=public_key).verify(folder, bundle)
    except Exception as error:  # the library raises what its parsers do
        raise RepositoryError(
            f"{folder} is not what the key signed: {str(error)[:300] or type(error).__name__}",
            hint="The files, the signature or the key are others.",
        ) from error
