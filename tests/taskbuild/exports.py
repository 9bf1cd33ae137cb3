"""Model files as exporters of other tools leave them, made small with `onnx` alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from tests.models import LABELS, classifier

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def beside(model: onnx.ModelProto, path: Path, *, one_file: bool = True) -> Path:
    """Save with the weights in a file of their own, as PyTorch does, or one for each tensor."""
    for tensor in model.graph.initializer:
        if tensor.data_type == FLOAT:
            name = f"{path.name}.data" if one_file else tensor.name
            set_external_data(tensor, location=name)
    onnx.save_model(model, path)
    return path


def located(path: Path, location: str) -> None:
    """Let every tensor of a file lie at `location`, whatever that is."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def with_outputs(
    patch: int,
    nodes: Sequence[onnx.NodeProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """The classifier of four colours with other outputs; `nodes` start from `logits`."""
    model = classifier(patch)
    graph = model.graph
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in (constants or {}).items()
    )
    del graph.output[:]
    graph.output.extend(outputs)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return model


def value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    """An output's description."""
    return helper.make_tensor_value_info(name, kind, list(shape))


def label_first(patch: int, *, zipmap: bool = False, classes: int = 4) -> onnx.ModelProto:
    """As skl2onnx leaves a classifier: `label` int64 [N], then `probabilities`."""
    nodes = [
        helper.make_node("Slice", ["logits", "zero", "count", "one"], ["few"]),
        helper.make_node("ArgMax", ["few"], ["label"], axis=1, keepdims=0),
        helper.make_node("Softmax", ["few"], ["scores"], axis=1),
    ]
    if zipmap:
        nodes.append(
            helper.make_node(
                "ZipMap",
                ["scores"],
                ["probabilities"],
                domain="ai.onnx.ml",
                classlabels_strings=list(LABELS[:classes]),
            )
        )
        made = helper.make_map_type_proto(
            TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, [])
        )
        last = helper.make_value_info("probabilities", helper.make_sequence_type_proto(made))
    else:
        nodes.append(helper.make_node("Identity", ["scores"], ["probabilities"]))
        last = value("probabilities", FLOAT, "n", classes)
    constants = {
        "zero": np.array([0], np.int64),
        "count": np.array([classes], np.int64),
        "one": np.array([1], np.int64),
    }
    return with_outputs(patch, nodes, [value("label", INT64, "n"), last], constants)


def put_label_first(path: Path) -> None:
    """Give a classifier's file an output `label` int64 [N] before its scores."""
    model = onnx.load(path)
    scores = copy.deepcopy(model.graph.output[0])
    model.graph.node.append(
        helper.make_node("ArgMax", [scores.name], ["label"], axis=1, keepdims=0)
    )
    del model.graph.output[:]
    model.graph.output.extend([value("label", INT64, "n"), scores])
    onnx.save(model, path)
