"""Models as exporters leave them become tasks, or are refused with what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hawkvision.datasets import in_memory
from hawkvision.errors import CalibrationError, EngineError
from hawkvision.taskbuild.sources import parse_source
from hawkvision.taskbuild.split import split_images
from tests.models import LABELS, SIDE, classifier
from tests.taskbuild.bringing import build, fitted, serves, source
from tests.taskbuild.exports import FLOAT, beside, label_first, located, value, with_outputs
from tests.taskbuild.strangers import photos

WNIDS = {"red": "n00000001", "green": "n00000002", "blue": "n00000003", "grey": "n00000004"}


def test_weights_beside_both_models_under_one_name(tmp_path: Path) -> None:
    sources = []
    for name, patch in (("small", 9), ("large", SIDE)):
        (tmp_path / name).mkdir()
        model = source(tmp_path / name, classifier(patch), name="model")
        beside(classifier(patch), model.path, one_file=name == "large")
        sources.append(model)
    built = build(sources[0], tmp_path, sources[1], photos(150))
    for model in sources:
        for path in model.path.parent.iterdir():
            path.unlink()
    serves(built)
    assert {path.name for path in built.task.folder.iterdir()} >= {
        "edge.onnx",
        "edge.onnx.data",
        "dc.onnx",
        "dc.onnx.data",
    }
    assert built.scores.dc_accuracy() > built.scores.edge_accuracy()


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "gone.data"])
def test_weights_from_elsewhere_are_refused_before_anything_is_opened(
    tmp_path: Path, location: str
) -> None:
    model = source(tmp_path, classifier(9))
    beside(classifier(9), model.path)
    located(model.path, location)
    with pytest.raises(EngineError, match=r"m\.onnx.*weights"):
        build(model, tmp_path, source(tmp_path, classifier(SIDE), name="large"), photos(150))
    assert not (tmp_path / "tasks").exists()


@pytest.mark.parametrize("classes", [2, 4])
def test_a_label_first_classifier_is_read_by_its_probabilities(
    tmp_path: Path, classes: int
) -> None:
    labels = LABELS[:classes]
    (tmp_path / "few.txt").write_text("\n".join(labels))
    edge = source(tmp_path, label_first(9, classes=classes), f",labels={tmp_path}/few.txt")
    found = fitted(edge, tmp_path, images=photos(100, labels=labels))
    rung = found.rung
    assert rung.spec.outputs == ("probabilities",) and rung.head.output == "probabilities"
    assert found.confidences > 50  # a hard label would give one or two
    assert any(f"probabilities float[n,{classes}]" in note for note in found.plan.notes)


def test_two_heads_of_one_size_need_a_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Identity", ["logits"], ["left"]),
        helper.make_node("Neg", ["logits"], ["right"]),
    ]
    heads = [value("right", FLOAT, "n", 4), value("left", FLOAT, "n", 4)]
    model = with_outputs(9, nodes, heads)
    with pytest.raises(CalibrationError, match=r"right float\[n,4\]; left float\[n,4\]"):
        fitted(source(tmp_path, model), tmp_path)
    found = fitted(source(tmp_path, model, ",output=left"), tmp_path)
    assert found.rung.spec.outputs == ("left",)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (TensorProto.FLOAT16, ("n", 4)),
        (TensorProto.DOUBLE, ("n", 4)),
        (TensorProto.FLOAT, ("n", 4, 1, 1)),
        (TensorProto.FLOAT, ("n", 1, 1, 4)),
        (TensorProto.FLOAT, (4,)),
    ],
)
def test_scores_of_other_types_and_shapes_are_read(
    tmp_path: Path, kind: int, shape: tuple[int | str, ...]
) -> None:
    sides = np.array([-1 if side == "n" else side for side in shape], np.int64)
    nodes = [
        helper.make_node("Cast", ["logits"], ["cast"], to=kind),
        helper.make_node("Reshape", ["cast", "sides"], ["out"]),
    ]
    model = with_outputs(9, nodes, [value("out", kind, *shape)], {"sides": sides})
    if shape == (4,):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert fitted(source(tmp_path, model), tmp_path).accuracy > 0.5


@pytest.mark.parametrize(
    ("kind", "dtype"), [(TensorProto.FLOAT16, "float16"), (TensorProto.DOUBLE, "float64")]
)
def test_a_network_of_other_floats_is_calibrated_and_served(
    tmp_path: Path, kind: int, dtype: str
) -> None:
    """Input and output of that type, as `convert_float_to_float16` leaves a file."""
    model = with_outputs(
        9,
        [helper.make_node("Cast", ["logits"], ["out"], to=kind)],
        [value("out", kind, "n", 4)],
    )
    model.graph.input[0].type.tensor_type.elem_type = kind
    large = source(tmp_path, classifier(SIDE), name="large")
    built = build(source(tmp_path, model), tmp_path, large, photos(150))
    serves(built)
    edge = built.task.rungs[0].model
    assert edge.dtype == dtype and f'dtype = "{dtype}"' in (
        built.task.folder / "task.toml"
    ).read_text("utf-8")
    assert set(edge.mean) == {0} and set(edge.std) == {1}  # pixels, found by trial
    assert built.scores.edge_accuracy() > 0.5


def test_whole_steps_of_a_quantized_softmax_are_probabilities(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Softmax", ["logits"], ["p"], axis=1),
        helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["out"]),
    ]
    constants = {"scale": np.array(1 / 256, np.float32), "zero": np.array(0, np.uint8)}
    model = with_outputs(9, nodes, [value("out", TensorProto.UINT8, "n", 4)], constants)
    found = fitted(source(tmp_path, model), tmp_path)
    assert found.rung.head.output == "probabilities" and found.confidences > 20


def test_a_side_of_nothing_is_refused(tmp_path: Path) -> None:
    model = with_outputs(
        9,
        [helper.make_node("Slice", ["logits", "zero", "zero", "one"], ["out"])],
        [value("out", FLOAT, "n", 0)],
        {"zero": np.array([0], np.int64), "one": np.array([1], np.int64)},
    )
    with pytest.raises(CalibrationError, match=r"out float\[n,0\]"):
        fitted(source(tmp_path, model), tmp_path)
    empty = classifier(9)
    empty.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0
    with pytest.raises(EngineError):
        fitted(source(tmp_path, empty), tmp_path)


def test_imagenet_with_a_background_class(tmp_path: Path) -> None:
    names = [*LABELS, *(f"other {index}" for index in range(996))]
    (tmp_path / "thousand.txt").write_text("\n".join(names))
    filler = np.full((1, 996), -100, np.float32)
    nodes = [
        helper.make_node("Shape", ["logits"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["n"]),
        helper.make_node("Concat", ["n", "ones"], ["times"], axis=0),
        helper.make_node("Tile", ["filler", "times"], ["rest"]),
        helper.make_node("Slice", ["rest", "zero", "first1", "axis"], ["background"]),
        helper.make_node("Concat", ["background", "logits", "rest"], ["out"], axis=1),
    ]
    constants = {
        "filler": filler,
        "first": np.array([0], np.int64),
        "ones": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "first1": np.array([1], np.int64),
        "axis": np.array([1], np.int64),
    }
    model = with_outputs(9, nodes, [value("out", FLOAT, "n", 1001)], constants)
    edge = source(tmp_path, model, f",labels={tmp_path}/thousand.txt")
    found = fitted(edge, tmp_path, restrict=True)
    assert found.rung.head.select == (1, 2, 3, 4)
    assert any("background" in note for note in found.plan.notes)


def test_folders_named_by_wordnet_ids_find_labels_of_any_form(tmp_path: Path) -> None:
    lines = [f"{WNIDS[label]} {label}, a colour of {label}" for label in LABELS]
    (tmp_path / "synset_words.txt").write_text("\n".join(lines))
    index = {str(place): [WNIDS[label], label] for place, label in enumerate(LABELS)}
    (tmp_path / "imagenet_class_index.json").write_text(json.dumps(index))
    edge = source(tmp_path, classifier(9), f",labels={tmp_path}/synset_words.txt")
    dc = source(
        tmp_path, classifier(SIDE), f",labels={tmp_path}/imagenet_class_index.json", name="large"
    )
    listed = in_memory(
        (replace(image, label=WNIDS[image.label]) for image in photos(150)), WNIDS.values()
    )
    found = fitted(edge, tmp_path, images=listed, dc=dc)
    assert found.labels[0] == "red, a colour of red"
    assert found.plan.kind.truth("n00000003") == 2
    assert found.accuracy > 0.6


def test_words_beside_the_edge_and_ids_of_the_data_center_meet(tmp_path: Path) -> None:
    words = dict(enumerate(f"{label}, a colour" for label in LABELS))
    (tmp_path / "hub").mkdir()
    onnx.save(classifier(9), tmp_path / "hub" / "model.onnx")
    (tmp_path / "hub" / "config.json").write_text(json.dumps({"id2label": words}))
    index = {str(place): [WNIDS[label], f"{label}, a colour"] for place, label in enumerate(LABELS)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    listed = in_memory(
        (replace(image, label=WNIDS[image.label]) for image in photos(100)), WNIDS.values()
    )
    edge = parse_source(f"{tmp_path}/hub/model.onnx,fit=stretch")
    dc = source(tmp_path, classifier(SIDE), f",labels={tmp_path}/index.json", name="large")
    found = fitted(edge, tmp_path, images=listed, dc=dc)
    assert found.labels[1] == "green, a colour" and found.plan.kind.truth("n00000002") == 1


def test_a_config_of_hugging_face_beside_the_file_names_the_outputs(tmp_path: Path) -> None:
    order = ("grey", "red", "blue", "green")
    gather = [helper.make_node("Gather", ["logits", "order"], ["out"], axis=1)]
    places = np.array([LABELS.index(label) for label in order], np.int64)
    model = with_outputs(9, gather, [value("out", FLOAT, "n", 4)], {"order": places})
    (tmp_path / "hub" / "onnx").mkdir(parents=True)
    onnx.save(model, tmp_path / "hub" / "onnx" / "model.onnx")
    config = {"id2label": dict(enumerate(order)), "label2id": {n: i for i, n in enumerate(order)}}
    (tmp_path / "hub" / "config.json").write_text(json.dumps(config))
    edge = parse_source(f"{tmp_path}/hub/onnx/model.onnx,fit=stretch")
    assert fitted(edge, tmp_path).labels == order


@pytest.mark.parametrize("names", ["{0: 'a', 1: ' '}", '["red", "red", "blue", "grey"]'])
def test_strange_labels_in_the_file_are_passed_over(tmp_path: Path, names: str) -> None:
    model = classifier(9)
    helper.set_model_props(model, {"names": names})
    onnx.save(model, tmp_path / "named.onnx")
    edge = parse_source(f"{tmp_path}/named.onnx,fit=stretch")
    with pytest.raises(CalibrationError):  # the sorted folders are another order
        fitted(edge, tmp_path)


def test_one_class_is_no_choice(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="all images are of one class, 'red'"):
        fitted(source(tmp_path, classifier(9)), tmp_path, images=photos(100, labels=("red",)))


def test_copies_certify_once_and_never_where_they_were_fitted(tmp_path: Path) -> None:
    images = list(photos(200))
    doubled = [replace(image, name=f"again-{image.name}") for image in images]
    other = {"red": "blue", "blue": "red", "green": "grey", "grey": "green"}
    wrong = [
        replace(image, name=f"wrong-{image.name}", label=other[image.label])
        for image in images[:40]
    ]
    found = in_memory([*images, *doubled, *wrong], sorted(LABELS))
    edge, dc = source(tmp_path, classifier(9)), source(tmp_path, classifier(SIDE), name="large")
    built = build(edge, tmp_path, dc, found)
    fitting, certifying = split_images(found, None)
    fitted_too = {image.data for image in fitting}
    left = {image.data for image in certifying} - fitted_too
    assert len(built.scores) == len(left) < 200
    assert any("are copies of others" in note for note in built.notes)
    assert any("stand under two labels" in note for note in built.notes)


def test_a_normalisation_under_which_a_network_answers_nan_is_not_taken(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["most"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["limit", "most"], ["room"]),
        helper.make_node("Sqrt", ["room"], ["root"]),
        helper.make_node("Mul", ["root", "nothing"], ["fault"]),
        helper.make_node("Unsqueeze", ["fault", "axis"], ["column"]),
        helper.make_node("Mul", ["image", "k255"], ["pixels"]),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["scores"]),
        helper.make_node("Add", ["scores", "column"], ["logits"]),
    ]
    constants = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in classifier(9).graph.initializer
    }
    tensors = {
        "weights": constants["weights"],
        "bias": constants["bias"],
        "k255": np.array(255, np.float32),
        "limit": np.array(1.01, np.float32),
        "nothing": np.array(0, np.float32),
        "axis": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "half",
        [value("image", FLOAT, "n", SIDE, SIDE, 3)],
        [value("logits", FLOAT, "n", 4)],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    trial = fitted(source(tmp_path, model), tmp_path).trial
    assert trial is not None and trial.chosen == "unit" and "pixels" not in trial.accuracy
