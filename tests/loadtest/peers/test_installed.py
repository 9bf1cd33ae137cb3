"""Which peers a Python has, and what is said where it has none."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import pytest

from hawkvision.errors import HawkVisionError
from loadtest.peers.installed import look
from loadtest.peers.tritonserver import find


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False)
    return folder


def test_an_empty_environment_has_no_peers(empty: Path) -> None:
    there = look(empty / "bin" / "python")
    assert there.versions == {} and there.triton == empty
    with pytest.raises(HawkVisionError, match="no nvidia-pytriton in") as caught:
        find(there.triton)
    assert "scripts/setup peers" in caught.value.hint


def test_a_triton_without_a_stub_for_this_python_is_told(empty: Path) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    packages = empty / "lib" / f"python{version}" / "site-packages"
    server = packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    server.parent.mkdir(parents=True)
    server.touch()
    about = packages / "nvidia_pytriton-0.7.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: nvidia-pytriton\nVersion: 0.7.0\n"
    )
    with pytest.raises(HawkVisionError, match=f"no stub for Python {version}"):
        find(empty)


def test_what_is_no_python_is_told(tmp_path: Path) -> None:
    with pytest.raises(HawkVisionError, match="is no Python"):
        look(tmp_path / "python")
    with pytest.raises(HawkVisionError, match="no Python at"):
        find(tmp_path)


def test_the_environment_of_triton_lies_inside(empty: Path) -> None:
    (empty / "triton").mkdir()
    assert look(empty / "bin" / "python").triton == empty / "triton"
