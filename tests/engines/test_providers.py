"""Which provider runs a file, why no better one does, and what each is told."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from hawkvision.engines import ModelSpec
from hawkvision.engines.onnx import OnnxEngine
from hawkvision.engines.providers import shares
from hawkvision.errors import EngineError
from tests.engines.fake_onnxruntime import CPU, CUDA, TENSORRT, Fake
from tests.engines.test_onnx import first, mean_model
from tests.models import SIDE, classifier

ALL = [TENSORRT, CUDA, CPU]


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    onnx.save(classifier(9), tmp_path / "m.onnx")
    return ModelSpec(tmp_path / "m.onnx", "NHWC", "uint8")


def with_runtime(monkeypatch: pytest.MonkeyPatch, fake: Fake) -> Fake:
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    return fake


def test_the_best_that_is_there_is_taken(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    for present, device, reason in (
        (ALL, "tensorrt", "the best there is"),
        ([CUDA, CPU], "cuda", "this ONNX Runtime has no TensorRT"),
        ([CPU], "cpu", "this ONNX Runtime has no TensorRT and no CUDA"),
    ):
        with_runtime(monkeypatch, Fake(present))
        found = OnnxEngine(spec).metadata
        assert (found.device, found.reason) == (device, reason)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("library", "its libraries do not load"),
        ("file", "node 3 is not for us"),
        ("nodes", "takes no node of this file"),
        ("run", "out of memory"),
    ],
)
def test_who_refuses_a_file_is_passed_over_and_that_is_said(
    spec: ModelSpec,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    how: str,
    why: str,
) -> None:
    with_runtime(monkeypatch, Fake(ALL, {TENSORRT: how, CUDA: how}))
    engine = OnnxEngine(spec)
    assert engine.metadata.device == engine.given == "cpu"
    assert engine.metadata.reason.count(why) == 2
    assert "TensorRT: " in engine.metadata.reason and "\n" not in engine.metadata.reason
    assert caplog.text.count("falling back") == 2
    pixels = np.zeros((2, 3, SIDE, SIDE), np.uint8)
    assert first(engine.infer(pixels)).shape == (2, 4)


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_an_engine_that_names_a_provider_does_not_fall_back(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    with_runtime(monkeypatch, Fake(ALL, {TENSORRT: "file", CUDA: "file"}))
    with pytest.raises(EngineError, match=rf"onnx-{device}: m\.onnx does not run") as caught:
        OnnxEngine(spec, device=device)  # type: ignore[arg-type]
    assert "--engine onnx" in caught.value.hint
    with_runtime(monkeypatch, Fake([CPU]))
    with pytest.raises(EngineError, match=rf"onnx-{device}: ONNX Runtime .* without") as caught:
        OnnxEngine(spec, device=device)  # type: ignore[arg-type]
    assert "onnxruntime-gpu" in caught.value.hint


def test_the_cpu_can_be_asked_for(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = with_runtime(monkeypatch, Fake(ALL))
    assert OnnxEngine(spec, device="cpu").metadata.device == "cpu"
    assert fake.opened == []


def test_tensorrt_is_told_its_caches_and_its_batches(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = with_runtime(monkeypatch, Fake(ALL))
    engine = OnnxEngine(spec)
    assert engine.metadata.max_batch == 32
    ((name, options), (behind, cuda), (last, _)) = fake.opened[-1]
    assert (name, behind, last) == (TENSORRT, CUDA, CPU)
    assert options["trt_profile_min_shapes"] == f"image:1x{SIDE}x{SIDE}x3"
    assert options["trt_profile_max_shapes"] == f"image:32x{SIDE}x{SIDE}x3"
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    folder = Path(options["trt_engine_cache_path"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.is_relative_to(tmp_path / "cache" / "hawkvision" / "engines")
    assert "trt_fp16_enable" not in options and "trt_int8_enable" not in options
    assert cuda == {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}


@pytest.mark.parametrize(("precision", "flag"), [("int8", "int8"), ("fp16", "fp16")])
def test_tensorrt_is_allowed_the_types_that_the_file_says(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, precision: str, flag: str
) -> None:
    fake = with_runtime(monkeypatch, Fake(ALL))
    OnnxEngine(ModelSpec(spec.path, "NHWC", "uint8", precision=precision))
    options = fake.opened[-1][0][1]
    assert options[f"trt_{flag}_enable"] == "1"


def test_a_fixed_batch_has_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake = with_runtime(monkeypatch, Fake(ALL))
    engine = OnnxEngine(ModelSpec(mean_model(tmp_path / "m.onnx", batch=4)))
    assert not any("profile" in name for name in fake.opened[-1][0][1])
    assert engine.metadata.max_batch == 4


def test_a_cache_that_others_can_reach_is_not_used(
    spec: ModelSpec,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "cache" / "hawkvision" / "engines" / "onnxruntime"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    fake = with_runtime(monkeypatch, Fake(ALL))
    assert OnnxEngine(spec).metadata.device == "tensorrt"
    assert "trt_engine_cache_path" not in fake.opened[-1][0][1]
    assert "open to other users" in caplog.text


def test_nodes_that_another_provider_runs_are_counted(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_runtime(monkeypatch, Fake(ALL, nodes={TENSORRT: 57, CPU: 1, CUDA: 2}))
    assert OnnxEngine(spec).metadata.reason == "TensorRT runs 57 of 60 nodes, CUDA 2, CPU 1"
    assert shares({CUDA: 5}) == "" == shares({})


def test_graphs_answer_as_runs_without_them(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU nothing is captured; that inputs are bound and renewed is what this shows."""
    fake = with_runtime(monkeypatch, Fake(ALL))
    engine = OnnxEngine(spec, device="cuda", graphs=True)
    assert fake.opened[-1][0][1]["enable_cuda_graph"] == "1"
    plain = OnnxEngine(spec, device="cpu")
    rng = np.random.default_rng(0)
    kept = []
    for count in (1, 1, 3, 1, 3, 3):
        pixels = rng.integers(0, 255, (count, 3, SIDE, SIDE), np.uint8)
        kept.append((first(engine.infer(pixels)), first(plain.infer(pixels))))
    for found, wanted in kept:  # none was overwritten by a later one
        assert np.array_equal(found, wanted)


def test_what_was_asked_and_given_is_one_line_of_the_log(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from hawkvision.repository import Repository
    from hawkvision.rungs import LoadedRung
    from tests.models import build_tiny_repository

    task = Repository(build_tiny_repository(spec.path.parent / "tiny")).open("tiny")
    with_runtime(monkeypatch, Fake([CUDA, CPU], {CUDA: "file"}))
    with caplog.at_level(logging.INFO):
        rung = LoadedRung.open(task.rungs[0], task.kind, engine="onnx")
    assert str(rung) == (
        "rung edge: engine onnx asked, cpu given (onnxruntime_onnx 1.31.1, fp32): "
        "CUDA: CUDAExecutionProvider: node 3 is not for us; this ONNX Runtime has no TensorRT"
    )
    assert rung.running()["asked"] == "onnx"
