"""ONNX Runtime is a choice: none, one and two wheels of it, as users meet them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hawkvision.engines import check_onnx_runtime, onnx_runtime
from hawkvision.engines.runtime import installed_wheels
from hawkvision.errors import EngineError
from tests.models import build_tiny_repository

ROOT = Path(__file__).resolve().parents[2]
NONE = "import sys\nsys.modules['onnxruntime'] = None\n"
"""A sitecustomize.py under which every `import onnxruntime` fails."""


def without_runtime(folder: Path) -> Path:
    """A folder for PYTHONPATH that takes ONNX Runtime away."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NONE)
    return folder


def with_wheel(folder: Path, name: str, version: str = "1.31.1") -> Path:
    """A folder for sys.path in which a wheel of that name is installed, as far as pip knows."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python WORDS` with the folder before ours on its path."""
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def starts(repository: Path, photos: Path) -> list[tuple[str, ...]]:
    """Commands that run a network with ONNX Runtime."""
    root = ("--model-repository", str(repository))
    model = str(repository / "tiny" / "1" / "edge.onnx")
    return [
        ("edge", "--port", "0", *root),
        ("dc", "--port", "0", *root),
        ("up", "--port", "0", *root),
        ("demo",),
        ("calibrate", "--edge", model, "--dc", model, "--data", str(photos), "--out", "out"),
        ("quantize", model, "--data", str(photos)),
    ]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.mark.parametrize("number", range(6))
def test_without_a_runtime_each_start_says_in_one_line_what_to_add(
    repository: Path, tmp_path: Path, number: int
) -> None:
    words = starts(repository, tmp_path)[number]
    done = run(without_runtime(tmp_path / "none"), "-m", "hawkvision.cli", *words)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith("error: ONNX Runtime is not installed: pip install 'hawkvision[cpu]'")


@pytest.mark.parametrize("number", range(6))
def test_two_wheels_at_once_are_refused_with_the_cure(
    repository: Path, tmp_path: Path, number: int
) -> None:
    if "onnxruntime" not in installed_wheels():
        pytest.skip("another wheel of ONNX Runtime is installed here")
    words = starts(repository, tmp_path)[number]
    done = run(with_wheel(tmp_path / "both", "onnxruntime-gpu"), "-m", "hawkvision.cli", *words)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = done.stderr.splitlines()
    assert "onnxruntime-gpu 1.31.1 are both installed" in said
    assert "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install" in said


def test_one_wheel_is_imported() -> None:
    assert len(installed_wheels()) == 1
    assert onnx_runtime().InferenceSession


def test_a_runtime_that_pip_does_not_know_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As built by hand, or from another package manager."""
    monkeypatch.setattr("hawkvision.engines.runtime.WHEELS", ())
    check_onnx_runtime()


def test_a_runtime_without_its_libraries_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libcublas.so.13: not found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    with pytest.raises(EngineError, match=r"cannot be imported: libcublas\.so\.13"):
        onnx_runtime()


IMPORT_SERVICES = (
    "import edge_agent.command, edge_agent.agent, dc_gateway.command, dc_gateway.server, "
    "hawkvision.client, hawkvision.cli.main, hawkvision.cli.calibrate, hawkvision.taskbuild.build, "
    "hawkvision.taskbuild.quantization, fpga.engines.pynq, fpga.engines.simulated, fpga.command, "
    "sys; loaded = [name for name in sys.modules if name.startswith('onnx')]; "
    "assert loaded == ['onnxruntime'] and sys.modules['onnxruntime'] is None, loaded"
)


def test_nothing_imports_a_runtime_before_it_is_used(tmp_path: Path) -> None:
    done = run(without_runtime(tmp_path / "none"), "-c", IMPORT_SERVICES)
    assert done.returncode == 0, done.stderr


def test_what_runs_no_network_needs_no_runtime(repository: Path, tmp_path: Path) -> None:
    words = ("models", "show", "tiny", "--model-repository", str(repository))
    done = run(without_runtime(tmp_path / "none"), "-m", "hawkvision.cli", *words)
    assert done.returncode == 0, done.stderr
