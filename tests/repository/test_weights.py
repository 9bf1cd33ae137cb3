"""Weights beside a model's file: found, copied along, digested, and never from elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hawkvision.engines import ModelSpec, open_engine
from hawkvision.errors import HawkVisionError, RepositoryError
from hawkvision.repository import Repository, read_task, write_task
from hawkvision.repository.onnx_graph import operators, read_model
from hawkvision.repository.weights import copy_model, find_weights, stored_bytes, weight_files
from tests.models import SIDE, build_tiny_repository, classifier
from tests.taskbuild.exports import beside, located


def answers(path: Path) -> np.ndarray:
    engine = open_engine(ModelSpec(path, "NHWC", "uint8"))
    image = np.arange(3 * SIDE * SIDE, dtype=np.uint8).reshape(1, 3, SIDE, SIDE)
    found = np.asarray(engine.infer(image)["logits"])
    engine.close()
    return found


@pytest.mark.parametrize("one_file", [True, False])
def test_a_copy_takes_the_weights_along_in_one_file(tmp_path: Path, one_file: bool) -> None:
    model = beside(classifier(9), tmp_path / "x.onnx", one_file=one_file)
    assert len(weight_files(model)) == (1 if one_file else 2)
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "edge.onnx"
    copy_model(model, copy)
    assert weight_files(copy) == ("edge.onnx.data",)
    before = answers(model)
    for path in find_weights(model):
        path.unlink()
    assert (answers(copy) == before).all()
    assert stored_bytes(copy) > stored_bytes_of_graph(copy)


def stored_bytes_of_graph(path: Path) -> int:
    return path.stat().st_size


def test_weights_of_branches_and_constants_are_found(tmp_path: Path) -> None:
    def constant(name: str, location: str) -> onnx.NodeProto:
        tensor = numpy_helper.from_array(np.ones(4, np.float32), name)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        return helper.make_node("Constant", [], [name], value=tensor)

    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    then = helper.make_graph([constant("y", "then.bin")], "then", [], [out])
    other = helper.make_graph([constant("y", "else.bin")], "else", [], [out])
    branch = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    graph = helper.make_graph([constant("k", "outer.bin"), branch], "g", [condition], [out])
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert weight_files(path) == ("else.bin", "outer.bin", "then.bin")
    assert operators(read_model(path)) == {"Constant", "If"}


@pytest.mark.parametrize(
    "location",
    ["../../etc/passwd", "/etc/passwd", "a/../../x", "..", "", "C:\\x", "..\\x", "x\0y", "a:b"],
)
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    model = beside(classifier(9), tmp_path / "x.onnx")
    located(model, location)
    with pytest.raises(RepositoryError, match="not in its own folder"):
        weight_files(model)
    with pytest.raises(RepositoryError):
        copy_model(model, tmp_path / "edge.onnx")


def test_a_link_out_of_the_folder_is_refused_and_a_cache_of_links_is_not(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    model = beside(classifier(9), tmp_path / "m" / "x.onnx")
    data = tmp_path / "m" / "x.onnx.data"
    secret = tmp_path / "secret"
    secret.write_bytes(data.read_bytes())
    data.unlink()
    data.symlink_to(secret)
    with pytest.raises(RepositoryError, match="not in its own folder"):
        find_weights(model)
    # Hugging Face's cache: both are links into one folder of blobs.
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    shutil.copy(model, blobs / "1")
    shutil.copy(secret, blobs / "2")
    (snapshot / "x.onnx").symlink_to(blobs / "1")
    (snapshot / "x.onnx.data").symlink_to(blobs / "2")
    assert [path.name for path in find_weights(snapshot / "x.onnx")] == ["x.onnx.data"]


def test_missing_and_cut_weights_are_named(tmp_path: Path) -> None:
    model = beside(classifier(9), tmp_path / "x.onnx")
    data = tmp_path / "x.onnx.data"
    data.write_bytes(data.read_bytes()[:4])
    with pytest.raises(RepositoryError, match="cut short"):
        copy_model(model, tmp_path / "edge.onnx")
    data.unlink()
    with pytest.raises(RepositoryError, match=r"x\.onnx\.data, which is not beside it"):
        find_weights(model)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(data)
    try:
        names = weight_files(path)
    except RepositoryError:
        return
    assert all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in names)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A repository whose edge rung keeps its weights beside it."""
    root = build_tiny_repository(tmp_path / "repository")
    folder = root / "tiny" / "1"
    beside(onnx.load(folder / "edge.onnx"), folder / "edge.onnx")
    write_task(read_task(folder))
    return root


def test_weights_have_digests(split: Path) -> None:
    folder = split / "tiny" / "1"
    assert list(Repository(split).open("tiny").rung("edge").weights) == ["edge.onnx.data"]
    before = (folder / "task.toml").read_text()
    write_task(read_task(folder))
    assert (folder / "task.toml").read_text() == before
    data = bytearray((folder / "edge.onnx.data").read_bytes())
    data[0] ^= 1
    (folder / "edge.onnx.data").write_bytes(data)
    with pytest.raises(RepositoryError, match=r"edge\.onnx\.data does not match"):
        Repository(split).open("tiny")
    (folder / "edge.onnx.data").unlink()
    with pytest.raises(RepositoryError, match=r"edge\.onnx\.data is missing"):
        Repository(split).open("tiny")


def test_weights_without_a_digest_are_refused(split: Path) -> None:
    file = split / "tiny" / "1" / "task.toml"
    text = file.read_text()
    start = text.index("[rungs.weights]")
    end = text.index("\n\n", start) if "\n\n" in text[start:] else len(text)
    file.write_text(text[:start] + text[end:])
    with pytest.raises(HawkVisionError, match="no digest"):
        Repository(split).open("tiny")
