"""The whole engine on a numpy device: ONNX Runtime says what the answers must be."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hawkvision.engines import ModelSpec, open_engine
from hawkvision.engines.tensorrt import engine as tensorrt_engine
from hawkvision.engines.tensorrt.cuda import CudaBindings, open_cuda
from hawkvision.engines.tensorrt.engine import TensorRTEngine, open_here, open_tensorrt
from hawkvision.engines.tensorrt.library import load_tensorrt
from hawkvision.errors import EngineError
from tests.engines.tensorrt.fake_tensorrt import FakeTensorRT
from tests.engines.tensorrt.numpy_device import NumpyDevice
from tests.engines.test_onnx import mean_model
from tests.models import SIDE, classifier


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hawkvision" / "engines" / "tensorrt"


@pytest.fixture
def device() -> NumpyDevice:
    return NumpyDevice()


@pytest.fixture(params=["10.3.0", "10.16.2.10", "11.4.0.106"])
def trt(device: NumpyDevice, request: pytest.FixtureRequest) -> FakeTensorRT:
    return FakeTensorRT(device, request.param)


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    onnx.save(classifier(9), tmp_path / "m.onnx")
    return ModelSpec(tmp_path / "m.onnx", "NHWC", "uint8")


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, 3, SIDE, SIDE), np.uint8)


def opened(spec: ModelSpec, trt: FakeTensorRT) -> TensorRTEngine:
    return open_here(spec, trt, CudaBindings(trt.device))


def only(spec: ModelSpec, batch: np.ndarray) -> np.ndarray:
    return next(iter(open_engine(spec).infer(batch).values()))


def test_batches_of_any_size_are_answered_as_onnx_runtime_does(
    spec: ModelSpec, trt: FakeTensorRT
) -> None:
    engine = opened(spec, trt)
    for count in (1, 2, 3, 8, 31, 32, 33, 70, 1, 3):
        batch = pixels(count, count)
        assert np.array_equal(engine.infer(batch)["logits"], only(spec, batch))
    engine.close()
    assert trt.device.nothing_left()


def test_what_it_is(spec: ModelSpec, trt: FakeTensorRT) -> None:
    found = opened(spec, trt).metadata
    assert found.input_shape == (3, SIDE, SIDE) and found.max_batch == 32
    assert (found.device, found.platform) == ("tensorrt", "tensorrt_plan")
    assert found.version == trt.__version__ and found.reason == "on Numpy Orin"


def test_floats_channels_and_normalisation_are_fed_as_the_file_wants(
    tmp_path: Path, trt: FakeTensorRT
) -> None:
    spec = ModelSpec(
        mean_model(tmp_path / "m.onnx"), mean=(10, 20, 30), std=(2, 4, 5), channels="BGR"
    )
    batch = np.random.default_rng(0).integers(0, 255, (3, 3, 4, 4), np.uint8)
    found = next(iter(opened(spec, trt).infer(batch).values()))
    assert np.allclose(found, only(spec, batch), rtol=1e-6)


def test_a_fixed_batch_serves_any_number(tmp_path: Path, trt: FakeTensorRT) -> None:
    spec = ModelSpec(mean_model(tmp_path / "m.onnx", batch=4))
    batch = np.random.default_rng(0).random((7, 3, 4, 4), np.float32)
    found = next(iter(opened(spec, trt).infer(batch).values()))
    assert np.allclose(found, only(spec, batch), rtol=1e-6)


def test_half_precision_in_the_file_comes_back_as_float32(
    tmp_path: Path, trt: FakeTensorRT
) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["p"]),
            helper.make_node("Flatten", ["p"], ["y"]),
        ],
        "half",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["n", 3])],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "h.onnx")
    engine = opened(ModelSpec(tmp_path / "h.onnx"), trt)
    out = engine.infer(np.full((2, 3, 4, 4), 100, np.uint8))["y"]
    assert out.dtype == np.float32 and out.tolist() == [[100.0] * 3] * 2


def test_a_batch_size_is_captured_once_and_then_launched(
    spec: ModelSpec, trt: FakeTensorRT
) -> None:
    engine = opened(spec, trt)
    for number in range(4):
        batch = pixels(1, number)
        assert np.array_equal(engine.infer(batch)["logits"], only(spec, batch))
    assert trt.device.launches == 3  # the first run was the warm one
    engine.infer(pixels(8))
    assert trt.device.launches == 3
    engine.close()
    assert trt.device.nothing_left()


def test_a_network_that_cannot_be_captured_is_run_without_a_graph(
    spec: ModelSpec, trt: FakeTensorRT
) -> None:
    trt.capturable = False
    engine = opened(spec, trt)
    for number in range(3):
        batch = pixels(2, number)
        assert np.array_equal(engine.infer(batch)["logits"], only(spec, batch))
    assert trt.device.launches == 0
    engine.close()
    assert trt.device.nothing_left()


def test_threads_have_streams_of_their_own(spec: ModelSpec, trt: FakeTensorRT) -> None:
    engine = opened(spec, trt)
    batches = [pixels(1 + number % 5, number) for number in range(60)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda batch: engine.infer(batch)["logits"], batches))
    for batch, logits in zip(batches, found, strict=True):
        assert np.array_equal(logits, only(spec, batch))
    assert len(trt.device.streams) <= 6
    engine.close()
    assert trt.device.nothing_left()


def test_the_second_start_does_not_build(spec: ModelSpec, trt: FakeTensorRT, cache: Path) -> None:
    opened(spec, trt).close()
    opened(spec, trt).close()
    assert trt.builds == 1
    assert sorted(path.suffix for path in cache.glob("*.*")) == [".engine", ".timings"]


@pytest.mark.parametrize("change", ["model", "version", "gpu", "precision"])
def test_whatever_an_engine_depends_on_has_it_built_again(
    spec: ModelSpec, device: NumpyDevice, change: str
) -> None:
    first = FakeTensorRT(device, "10.16.2")
    opened(spec, first).close()
    second = FakeTensorRT(device, "10.17.0" if change == "version" else "10.16.2")
    if change == "model":
        onnx.save(classifier(7), spec.path)
    elif change == "gpu":
        device.name = b"Numpy Thor"
    elif change == "precision":
        spec = ModelSpec(spec.path, spec.layout, spec.dtype, precision="int8")
    engine = opened(spec, second)
    assert second.builds == 1
    assert np.array_equal(engine.infer(pixels(2))["logits"], only(spec, pixels(2)))


def test_weights_beside_the_model_are_part_of_what_it_is(
    tmp_path: Path, device: NumpyDevice
) -> None:
    from hawkvision.engines.tensorrt.digest import digest_of

    model = classifier(9)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    path = tmp_path / "m.onnx"
    onnx.save(
        model, path, save_as_external_data=True, location="w.bin", size_threshold=0,
        all_tensors_to_one_file=True,
    )  # fmt: skip
    before = digest_of(path)
    (tmp_path / "other.txt").write_text("not named by the model")
    assert digest_of(path) == before
    data = bytearray((tmp_path / "w.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "w.bin").write_bytes(bytes(data))
    assert digest_of(path) != before


def test_an_engine_that_does_not_load_any_more_is_built_again(
    spec: ModelSpec, trt: FakeTensorRT, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(spec, trt).close()
    real, answers = FakeTensorRT.Runtime, iter([None])

    def refuses_once(self: FakeTensorRT, logger: Any) -> Any:
        found = real(self, logger)
        load = found.deserialize_cuda_engine
        found.deserialize_cuda_engine = lambda plan: next(answers, load(plan))
        return found

    monkeypatch.setattr(FakeTensorRT, "Runtime", refuses_once)
    engine = opened(spec, trt)
    assert trt.builds == 2
    assert np.array_equal(engine.infer(pixels(1))["logits"], only(spec, pixels(1)))


def test_a_cache_that_others_can_reach_is_not_used(
    spec: ModelSpec, trt: FakeTensorRT, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o755)
    opened(spec, trt).close()
    assert "open to other users (mode 0755)" in caplog.text
    assert list(cache.iterdir()) == []


def test_after_close_nothing_is_answered(spec: ModelSpec, trt: FakeTensorRT) -> None:
    engine = opened(spec, trt)
    engine.infer(pixels(1))
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        engine.infer(pixels(1))


def test_a_full_gpu_is_an_error_that_leaves_nothing_behind(
    spec: ModelSpec, trt: FakeTensorRT
) -> None:
    engine = opened(spec, trt)
    trt.device.limit = 5000
    for _ in range(2):
        with pytest.raises(EngineError, match="MemoryAllocation"):
            engine.infer(pixels(1))
    assert trt.device.nothing_left()
    trt.device.limit = 1 << 28
    assert engine.infer(pixels(1))["logits"].shape == (1, 4)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (0, 3, SIDE, SIDE)])
def test_a_wrong_shape_is_one_clear_error(
    spec: ModelSpec, trt: FakeTensorRT, shape: tuple[int, ...]
) -> None:
    with pytest.raises(EngineError, match="a batch of the shape"):
        opened(spec, trt).infer(np.zeros(shape, np.uint8))


def test_a_file_that_the_parser_refuses_is_named(tmp_path: Path, trt: FakeTensorRT) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(EngineError, match=r"m\.onnx"):
        opened(ModelSpec(tmp_path / "m.onnx"), trt)


def test_an_output_that_is_not_there_names_those_that_are(
    spec: ModelSpec, trt: FakeTensorRT
) -> None:
    wanted = ModelSpec(spec.path, "NHWC", "uint8", outputs=("boxes",))
    with pytest.raises(EngineError, match="no output 'boxes'") as caught:
        opened(wanted, trt)
    assert "logits" in caught.value.hint


def test_what_is_missing_is_said_in_one_line(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_engine, "_JETSON", Path("/nowhere"))
    monkeypatch.delenv("HAWKVISION_TENSORRT_PYTHON", raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"TensorRT (is not installed|does not load)"):
        open_tensorrt(spec, threads=1)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setitem(sys.modules, "cuda", None)
    with pytest.raises(EngineError, match="cuda-bindings is not installed"):
        open_cuda()


def test_a_version_that_is_not_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRT(NumpyDevice(), "8.6.1"))
    with pytest.raises(EngineError, match=r"TensorRT 8\.6\.1 is installed"):
        load_tensorrt()
