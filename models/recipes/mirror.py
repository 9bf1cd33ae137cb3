"""The average over an image and its mirror image, put into a file and taken out of it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from models.recipes.floats import rebuilt


def average_with_mirror(model: onnx.ModelProto, classes: int) -> onnx.ModelProto:
    """Run each NHWC image and its mirror image as one batch and average their logits."""
    graph = model.graph
    source, output = graph.input[0].name, graph.output[0].name
    constants = {
        "mirror_start": [-1],
        "mirror_end": [np.iinfo(np.int64).min],
        "mirror_axis": [2],
        "mirror_step": [-1],
        "mirror_shape": [2, -1, classes],
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in constants.items()
    )
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == source:
                node.input[index] = "mirror_pair"
        for index, name in enumerate(node.output):
            if name == output:
                node.output[index] = "mirror_logits"
    slice_inputs = [source, "mirror_start", "mirror_end", "mirror_axis", "mirror_step"]
    graph.node.insert(0, helper.make_node("Concat", [source, "mirrored"], ["mirror_pair"], axis=0))
    graph.node.insert(0, helper.make_node("Slice", slice_inputs, ["mirrored"]))
    graph.node.extend(
        [
            helper.make_node("Reshape", ["mirror_logits", "mirror_shape"], ["mirror_split"]),
            helper.make_node("ReduceMean", ["mirror_split"], [output], axes=[0], keepdims=0),
        ]
    )
    onnx.checker.check_model(model)
    return model


def without_mirror(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a file that `average_with_mirror` made which takes each image as it is."""
    graph = model.graph
    source, output = graph.input[0].name, graph.output[0].name
    renamed = {"mirror_pair": source, "mirror_logits": output}
    nodes = []
    for node in graph.node:
        if {"mirror_pair", "mirrored", "mirror_split", output} & set(node.output):
            continue
        made = onnx.NodeProto.FromString(node.SerializeToString())
        made.input[:] = [renamed.get(name, name) for name in node.input]
        made.output[:] = [renamed.get(name, name) for name in node.output]
        nodes.append(made)
    return rebuilt(
        model, nodes, {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    )
