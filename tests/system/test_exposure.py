"""No command listens where others reach it unless it was told how to know them, or not to care."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import KeyFile
from tests.certificates import Authority
from tests.models import build_tiny_repository
from tests.processes import edge

REFUSED = [
    (("edge", "--host", "0.0.0.0"), "without TLS and without keys"),
    (("edge", "--host", ""), "every address is reached by others"),
    (("edge", "--host", "0.0.0.0", "--workers", "2"), "without TLS and without keys"),
    (("up", "--host", "0.0.0.0"), "without TLS and without keys"),
    (("dc", "--host", "::"), ":: is reached by others"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=lambda one: str(one)[:30])
def test_off_loopback_the_start_is_refused_in_one_line(words: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", "hawkvision.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1 and done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and said in error
    assert "--insecure" in hint


def test_with_tls_and_keys_it_listens(tiny_repository: Path, tmp_path: Path) -> None:
    made = Authority.make(tmp_path)
    store_keys(tmp_path / "keys.toml", KeyFile())
    tls = ("--tls-cert", str(made.certificate), "--tls-key", str(made.key))
    options = ("--host", "0.0.0.0", "--keys", str(tmp_path / "keys.toml"), *tls)
    with edge(tiny_repository, "127.0.0.1:9", *options) as service:
        assert service.address.startswith("0.0.0.0:")


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))
