"""Models and images as a stranger would bring them, made with other tools than our recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hawkvision.datasets import LabelledImage, LabelledSet, in_memory
from tests.models import LABELS, SIDE, classifier, coloured_jpeg

TORCH_MODEL = Path(__file__).parent.parent / "data" / "stranger.onnx"
TORCH_LABELS = ("grey", "blue", "red", "green")
SMALL_LABELS = ("blue", "grey", "green", "red")


def write_small(folder: Path, *, labels: bool = True) -> Path:
    """uint8 NHWC in, probabilities out, classes in an order of its own."""
    model = classifier(9)
    order = np.array([LABELS.index(label) for label in SMALL_LABELS], np.int64)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(order, "order"))
    graph.node.append(helper.make_node("Gather", ["logits", "order"], ["shuffled"], axis=1))
    graph.node.append(helper.make_node("Softmax", ["shuffled"], ["chances"], axis=1))
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info("chances", TensorProto.FLOAT, ["n", len(LABELS)])
    )
    onnx.checker.check_model(model)
    onnx.save(model, folder / "small.onnx")
    if labels:
        (folder / "small.txt").write_text("\n".join(SMALL_LABELS) + "\n")
    return folder / "small.onnx"


def write_large(folder: Path) -> Path:
    """The network from `tests/data`, exported by PyTorch, and its labels."""
    (folder / "large.onnx").write_bytes(TORCH_MODEL.read_bytes())
    (folder / "large.txt").write_text("\n".join(TORCH_LABELS) + "\n")
    return folder / "large.onnx"


def write_nan(folder: Path) -> Path:
    """A network that divides by zero."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["mean", "mean"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["three"]),
        helper.make_node("Concat", ["three", "three"], ["six"], axis=1),
        helper.make_node("Gather", ["six", "first"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "nan",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(np.arange(4), "first")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "nan.onnx")
    return folder / "nan.onnx"


def photos(count: int = 420, labels: tuple[str, ...] = LABELS, start: int = 50_000) -> LabelledSet:
    """Labelled images in memory."""
    return in_memory(
        (
            LabelledImage(
                coloured_jpeg(labels[index % len(labels)], seed=start + index),
                labels[index % len(labels)],
                f"{index:04d}.jpg",
            )
            for index in range(count)
        ),
        sorted(labels),
    )


def write_photos(folder: Path, count: int = 420, split: str = "val") -> Path:
    """The same as files, `<split>/<class>/<name>.jpg`."""
    for image in photos(count):
        path = folder / split / image.label / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.data)
    return folder
