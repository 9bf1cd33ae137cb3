"""Every shipped file for TensorRT, and strangers' ones, through NVIDIA's parser and builder.

TensorRT for RTX does that without a GPU; `scripts/setup tensorrt` brings it into its own folder.
Skipped where that folder is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from hawkvision.cli.main import cli
from hawkvision.engines.tensorrt import examine as tensorrt
from hawkvision.errors import EngineError
from hawkvision.repository import Repository, Rung, read_task, shipped_repository, write_task
from tests.engines.tensorrt import strangers
from tests.models import build_tiny_repository

FOLDER = Path(__file__).resolve().parents[3] / ".venv-tensorrt"
pytestmark = pytest.mark.skipif(
    not (FOLDER / ".ready").exists(), reason="no .venv-tensorrt: scripts/setup tensorrt"
)


@pytest.fixture(scope="module", autouse=True)
def parser() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield


def rungs() -> list[Rung]:
    repository = Repository(shipped_repository())
    return [
        rung
        for name in repository.tasks()
        for rung in repository.open(name, flavour=tensorrt.FLAVOUR).rungs
    ]


def named(rung: Rung) -> str:
    return f"{rung.model.path.parent.parent.name}-{rung.name}"


@pytest.mark.parametrize("rung", rungs(), ids=named)
def test_every_shipped_rung_is_parsed_and_built(rung: Rung) -> None:
    found = tensorrt.examine(rung.model.path, build=True)
    assert found.layers > 10 and found.engine_bytes is not None
    assert found.engine_bytes > rung.model.path.stat().st_size / 4


@pytest.mark.parametrize("rung", rungs(), ids=named)
def test_every_shipped_rung_keeps_to_what_tensorrt_proper_takes(rung: Rung) -> None:
    """The RTX parser lets pass some that TensorRT does not: uint8 steps, zero points."""
    model = onnx.load(rung.model.path)
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.dtype == np.int8 and not zero.any(), node.name
    readers = [node for node in model.graph.node if model.graph.input[0].name in node.input]
    assert [node.op_type for node in readers] == ["Cast"]


TAKEN: dict[str, Callable[[Path], Path]] = {
    "fixed batch": lambda path: strangers.plain(path, batch=1),
    "dynamic batch": strangers.plain,
    "NHWC": strangers.nhwc,
    "fp16": strangers.half,
    "QDQ": lambda path: strangers.steps(path, zero=np.int8(0)),
    **{
        f"opset {opset}": lambda path, opset=opset: strangers.plain(path, opset=opset)  # type: ignore[misc]
        for opset in (11, 13, 15, 17, 19, 21)
    },
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN)
def test_what_exporters_make_is_taken(make: Callable[[Path], Path], tmp_path: Path) -> None:
    assert tensorrt.examine(make(tmp_path / "user.onnx"), build=True).engine_bytes


REFUSED: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "int32 bias": (
        lambda path: strangers.steps(path, zero=np.int8(0), bias="int32"),
        "node b_dq (DequantizeLinear)",
        "biases are int32",
    ),
    "uint8 arithmetic": (strangers.pixels_sliced, "node mirror (Slice)", "only be cast"),
    "unknown operator": (strangers.unknown, "node words (StringNormalizer)", "no such operator"),
}


@pytest.mark.parametrize(("make", "node", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_stops_a_file_is_named_with_what_to_do(
    make: Callable[[Path], Path], node: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineError) as caught:
        tensorrt.examine(make(tmp_path / "user.onnx"))
    assert node in caught.value.message
    assert hint in (caught.value.hint or "")


def test_free_sides_are_refused_before_they_are_built(tmp_path: Path) -> None:
    path = strangers.save(
        tmp_path / "user.onnx", strangers.body("x"), strangers.weights(), ["n", 3, "h", "w"]
    )
    with pytest.raises(EngineError, match="has the shape"):
        tensorrt.examine(path, build=True)


def test_verify_parses_the_shipped_tasks_without_a_gpu() -> None:
    words = ["models", "verify", "roadsigns", "--engine", "tensorrt", "--parse-only"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert "roadsigns/2 dc (tensorrt): ok" in result.output


def test_verify_names_the_node_and_what_to_do(tmp_path: Path) -> None:
    root = build_tiny_repository(tmp_path)
    task = read_task(root / "tiny" / "1")
    strangers.pixels_sliced(task.rungs[0].model.path)
    write_task(task)
    words = ["models", "verify", "--engine", "tensorrt", "--parse-only", "--model-repository"]
    result = CliRunner().invoke(cli, [*words, str(root)])
    assert result.exit_code == 1
    assert "tiny/1 edge: tensorrt: TensorRT's parser refuses edge.onnx at node mirror (Slice)" in (
        result.output
    )
    assert "--for tensorrt" in result.output and "tiny/1 dc: ok" in result.output


def test_calibrate_stops_at_the_node_before_it_runs_anything(tmp_path: Path) -> None:
    bad = strangers.steps(tmp_path / "bad.onnx", zero=np.int8(0), bias="int32")
    photos = tmp_path / "photos" / "a"
    photos.mkdir(parents=True)
    (photos / "1.jpg").write_bytes(b"never decoded")
    words = ["calibrate", "--edge", str(bad), "--dc", str(bad), "--data", str(photos.parent)]
    words += ["--out", str(tmp_path / "out"), "--engine", "tensorrt"]
    refused = CliRunner().invoke(cli, words).exception
    assert isinstance(refused, EngineError)
    assert "node b_dq (DequantizeLinear)" in refused.message
