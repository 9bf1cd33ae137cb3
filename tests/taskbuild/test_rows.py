"""Models of flat rows, and models that end in ZipMap, as their converters leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hawkvision.engines import ModelSpec, open_engine
from hawkvision.errors import CalibrationError, EngineError
from hawkvision.taskbuild.rows import ORDERS, Order, readings, take_images
from hawkvision.taskbuild.sources import ModelSource, parse_source
from hawkvision.taskbuild.zipmap import without_zipmap
from tests.models import LABELS, SIDE, classifier
from tests.taskbuild.bringing import build, fitted, serves, source
from tests.taskbuild.exports import FLOAT, beside, label_first, value
from tests.taskbuild.strangers import photos

DATA = Path(__file__).parent.parent / "data"
PIPELINE, TREES = DATA / "pipeline.onnx", DATA / "trees.onnx"


def brought(path: Path, more: str = "") -> ModelSource:
    return parse_source(f"{path},fit=stretch{more}")


def test_a_pipeline_of_scikit_learn_needs_nothing_said(tmp_path: Path) -> None:
    found = fitted(brought(PIPELINE), tmp_path)
    assert found.labels == tuple(sorted(LABELS))  # the ZipMap's; the large model has another order
    assert found.rung.head.output == "probabilities"
    assert (found.rung.geometry.width, found.rung.geometry.height) == (8, 8)
    assert found.trial is not None and found.trial.chosen == "HWC unit"
    assert found.trial.what == "layout and normalisation" and found.accuracy > 0.7
    said = " ".join(found.plan.notes)
    assert "rows of 192 numbers are read as images of 8x8 px in colour" in said
    assert "ZipMap, which makes dictionaries of output_probability, is left out" in said


def test_trees_of_lightgbm_are_read_by_colour(tmp_path: Path) -> None:
    found = fitted(brought(TREES), tmp_path)
    assert found.trial is not None and found.trial.chosen.startswith("CHW")
    assert found.rung.spec.layout == "NCHW" and found.accuracy > 0.6
    assert found.labels == tuple(sorted(LABELS))  # numbers are no names of these folders


def test_what_is_said_is_not_tried(tmp_path: Path) -> None:
    found = fitted(brought(TREES, ",layout=chw,normalize=pixels,size=8"), tmp_path)
    assert found.trial is None and found.rung.spec.layout == "NCHW"
    assert found.accuracy > 0.6


def test_a_wrong_layout_errs_far_more_than_the_right_one(tmp_path: Path) -> None:
    trial = fitted(brought(TREES, ",normalize=pixels"), tmp_path).trial
    assert trial is not None and (trial.what, trial.chosen) == ("layout", "CHW") and trial.sure
    assert trial.accuracy["HWC"] < trial.accuracy["CHW"] - 0.2
    assert "layout 'CHW' was found by trial" in str(trial)


def test_what_is_served_answers_as_the_file_that_was_brought(tmp_path: Path) -> None:
    """The file's own answers, dictionaries of scores, from rows that are flattened here."""
    found = fitted(brought(TREES, ",layout=CHW,normalize=pixels"), tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (5, 3, 8, 8), np.uint8)
    served = open_engine(found.rung.spec).infer(pixels)["probabilities"]
    session = onnxruntime.InferenceSession(TREES, providers=["CPUExecutionProvider"])
    rows = pixels.reshape(5, -1).astype(np.float32)
    own = session.run(["probabilities"], {"input": rows})[0]
    assert np.allclose(served, [[row[number] for number in range(4)] for row in own], atol=1e-6)


def test_a_version_holds_the_copy_and_serves_without_the_file(tmp_path: Path) -> None:
    edge = tmp_path / "mine" / "pipeline.onnx"
    edge.parent.mkdir()
    edge.write_bytes(PIPELINE.read_bytes())
    large = source(tmp_path, classifier(SIDE), name="large")
    built = build(brought(edge), tmp_path, large, photos(150))
    assert edge.read_bytes() == PIPELINE.read_bytes()
    edge.unlink()
    serves(built)
    kept = onnx.load(built.task.folder / "edge.onnx")
    onnx.checker.check_model(kept)
    operators = {node.op_type for node in kept.graph.node}
    assert "Reshape" in operators and "ZipMap" not in operators


def test_images_that_end_in_zipmap_keep_their_input_and_name_their_classes(tmp_path: Path) -> None:
    onnx.save(label_first(9, zipmap=True), tmp_path / "m.onnx")
    found = fitted(brought(tmp_path / "m.onnx"), tmp_path)
    assert found.labels == LABELS and found.rung.spec.outputs == ("probabilities",)
    assert found.confidences > 50 and found.accuracy > 0.5


def test_weights_beside_a_zipmap_go_along(tmp_path: Path) -> None:
    path = beside(label_first(9, zipmap=True), tmp_path / "m.onnx")
    large = source(tmp_path, classifier(SIDE), name="large")
    built = build(brought(path), tmp_path, large, photos(150))
    serves(built)
    assert (built.task.folder / "edge.onnx.data").is_file()


def test_a_file_without_zipmap_is_left_where_it_is(tmp_path: Path) -> None:
    onnx.save(classifier(9), tmp_path / "m.onnx")
    found = without_zipmap(tmp_path / "m.onnx", tmp_path / "scratch")
    assert found.path == tmp_path / "m.onnx" and found.labels is None
    assert not (tmp_path / "scratch").exists()


def rows_model(path: Path, kind: int, *sides: int | str) -> Path:
    """Rows [N,*sides] to their weighted sum, a single score: every number's place counts."""
    length = sides[-1] if isinstance(sides[-1], int) else 12
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["cast"], to=FLOAT),
            helper.make_node("MatMul", ["cast", "places"], ["sum"]),
        ],
        "rows",
        [value("image", kind, "n", *sides)],
        [value("sum", FLOAT, "n", *sides[:-1], 1)],
        [numpy_helper.from_array(np.arange(1, length + 1, dtype=np.float32)[:, None], "places")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "kind", [FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.UINT8]
)
@pytest.mark.parametrize("order", ORDERS)
def test_rows_of_any_type_get_their_pixels_in_that_order(
    tmp_path: Path, kind: int, order: Order
) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (3, 3, 2, 2), np.uint8)
    grey = (pixels * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    flat: dict[str, Any] = {
        "HWC": pixels.transpose(0, 2, 3, 1),
        "CHW": pixels,
        "grey": np.round(grey) if kind in (TensorProto.INT64, TensorProto.UINT8) else grey,
    }
    rows = flat[order].reshape(3, -1).astype(np.float64)
    path = rows_model(tmp_path / "rows.onnx", kind, rows.shape[1])
    (reading,) = readings("rows.onnx", rows.shape[1], None, order)
    take_images(path, reading, tmp_path / "copy" / "rows.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "copy" / "rows.onnx"))
    whole = kind in (TensorProto.INT64, TensorProto.UINT8)
    spec = ModelSpec(
        tmp_path / "copy" / "rows.onnx", reading.layout, "uint8" if whole else "float32"
    )
    found = open_engine(spec).infer(pixels)["sum"][:, 0]
    expected = (rows * np.arange(1, rows.shape[1] + 1)).sum(1)
    assert np.allclose(found, expected, rtol=2e-3 if kind == TensorProto.FLOAT16 else 1e-6)


@pytest.mark.parametrize(
    ("numbers", "more", "said", "hint"),
    [
        (1000, "", "rows of 1000 numbers, which is no square image", "3*18*18 = 972"),
        (192, ",size=9", "no image of size=9x9", "9x9 px are 243 numbers in colour, 81 in grey"),
        (192, ",layout=grey", "no image of layout=grey", "3*8*8 = 192"),
        (64, ",channels=BGR", "rows of grey pixels; channels=", "Leave channels="),
        ("f", "", "rows of any length", "size=16,layout=HWC"),
        ("f", ",size=8", "rows of any length", "size=16,layout=HWC"),
    ],
)
def test_rows_that_are_no_images_are_refused_with_what_they_could_be(
    tmp_path: Path, numbers: int | str, more: str, said: str, hint: str
) -> None:
    path = rows_model(tmp_path / "m.onnx", FLOAT, numbers)
    two = photos(40, labels=LABELS[:2])
    with pytest.raises(CalibrationError) as refused:
        fitted(brought(path, more), tmp_path, images=two, dc=brought(path, more))
    assert said in refused.value.message and hint in refused.value.hint


def test_normalisation_of_whole_rows_and_layout_of_images_do_not_apply(tmp_path: Path) -> None:
    path = rows_model(tmp_path / "m.onnx", TensorProto.INT64, 12)
    two = photos(40, labels=LABELS[:2])
    with pytest.raises(CalibrationError, match="whole pixels, 0 to 255; normalize="):
        fitted(brought(path, ",normalize=unit"), tmp_path, images=two, dc=brought(path))
    onnx.save(classifier(9), tmp_path / "image.onnx")
    with pytest.raises(CalibrationError, match="takes images; layout="):
        fitted(brought(tmp_path / "image.onnx", ",layout=HWC"), tmp_path)


def test_three_sides_or_bits_are_no_rows(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="three colour channels"):
        fitted(brought(rows_model(tmp_path / "one.onnx", FLOAT, 4, 12)), tmp_path)
    with pytest.raises(EngineError, match="not pixels"):
        fitted(brought(rows_model(tmp_path / "bits.onnx", TensorProto.BOOL, 12)), tmp_path)


def test_rows_of_another_shape_than_a_square(tmp_path: Path) -> None:
    ways = readings("m.onnx", 3 * 16 * 12, (16, 12), None)
    assert [way.order for way in ways] == ["HWC", "CHW"]
    (grey,) = readings("m.onnx", None, (16, 12), "grey")
    assert (grey.width, grey.height, grey.numbers) == (16, 12, 192)


sizes = st.one_of(st.none(), st.tuples(st.integers(1, 64), st.integers(1, 64)))
orders: st.SearchStrategy[Order | None] = st.one_of(st.none(), st.sampled_from(ORDERS))


@given(st.one_of(st.none(), st.integers(0, 20_000)), sizes, orders)
def test_a_reading_has_as_many_numbers_as_the_row(
    numbers: int | None, size: tuple[int, int] | None, order: Order | None
) -> None:
    try:
        found = readings("m.onnx", numbers, size, order)
    except CalibrationError as refused:
        assert refused.hint
        return
    for way in found:
        assert numbers in (None, way.numbers) and order in (None, way.order)
        assert size in (None, (way.width, way.height))
    assert len({way.order for way in found}) == len(found) >= 1


@given(st.integers(1, 150))
def test_every_square_is_found_as_colour_and_as_grey(side: int) -> None:
    assert [way.order for way in readings("m", 3 * side * side, None, None)] == ["HWC", "CHW"]
    assert [way.order for way in readings("m", side * side, None, None)] == ["grey"]
