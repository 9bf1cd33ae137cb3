"""TensorRT under another Python: a real worker process, its device of numpy."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from hawkvision.engines import ModelSpec
from hawkvision.engines.tensorrt import engine as tensorrt_engine
from hawkvision.engines.tensorrt import remote
from hawkvision.engines.tensorrt.engine import open_tensorrt, other_python
from hawkvision.errors import EngineError
from tests.engines.tensorrt.test_engine import only, pixels
from tests.models import classifier

ROOT = Path(__file__).resolve().parents[3]
SITE = Path(__file__).resolve().parent / "site"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A model, and a Python that has the fakes and nothing else of this environment's path."""
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={SITE}:{ROOT} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(remote.PYTHON, str(python))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    onnx.save(classifier(9), tmp_path / "m.onnx")
    return ModelSpec(tmp_path / "m.onnx", "NHWC", "uint8")


def test_a_worker_answers_as_this_process_would(spec: ModelSpec) -> None:
    engine = open_tensorrt(spec, threads=1)
    for count in (1, 3, 40):
        batch = pixels(count, count)
        assert np.array_equal(engine.infer(batch)["logits"], only(spec, batch))
    found = engine.metadata
    assert (found.version, found.max_batch, found.reason) == ("10.3.0", 32, "on Numpy Orin")
    engine.close()


def test_an_error_crosses_the_pipe_and_the_worker_goes_on(spec: ModelSpec) -> None:
    engine = open_tensorrt(spec, threads=1)
    with pytest.raises(EngineError, match=r"^tensorrt: a batch of the shape"):
        engine.infer(np.zeros((1, 3, 8, 8), np.uint8))
    assert engine.infer(pixels(1))["logits"].shape == (1, 4)
    engine.close()


def test_a_worker_that_dies_is_started_again(spec: ModelSpec) -> None:
    engine = open_tensorrt(spec, threads=1)
    session = engine._session
    assert isinstance(session, remote.RemoteSession)
    process = session._worker.process
    assert process is not None
    process.kill()
    process.wait()
    assert np.array_equal(engine.infer(pixels(2))["logits"], only(spec, pixels(2)))
    engine.close()


def test_why_it_cannot_start_crosses_the_pipe(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAWKVISION_TEST_GPUS", "0")
    with pytest.raises(EngineError, match=r"^tensorrt: no GPU can be used") as caught:
        open_tensorrt(spec, threads=1)
    assert "nvidia-smi" in caught.value.hint
    monkeypatch.setenv(remote.PYTHON, "/nowhere/python3")
    with pytest.raises(EngineError, match="no /nowhere/python3"):
        open_tensorrt(spec, threads=1)


def test_a_python_without_tensorrt_is_told_what_it_lacks(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setenv(remote.PYTHON, str(bare))
    with pytest.raises(EngineError, match="the worker ended") as caught:
        open_tensorrt(spec, threads=1)
    assert "needs numpy, tensorrt and cuda-bindings" in caught.value.hint


def test_a_jetsons_own_python_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(remote.PYTHON, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(tensorrt_engine, "_JETSON", tmp_path / "nv_tegra_release")
    assert other_python() is None
    (tmp_path / "nv_tegra_release").write_text("# R36 (release)")
    assert other_python() == "/usr/bin/python3"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert other_python() is None
