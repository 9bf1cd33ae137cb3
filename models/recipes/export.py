"""From a checkpoint to a served ONNX file: static int8 QDQ, uint8 NHWC pixels in, logits out.

The network's input (x - 128) / 64 is what a uint8 pixel with scale 1/64 and zero point 128 means,
so the input's QuantizeLinear is dropped and pixels enter the first convolution as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from hawkvision.taskbuild.quantization import quantize
from models.recipes.mirror import average_with_mirror
from models.recipes.nets import ResidualNet
from models.recipes.specs import Recipe

Image = npt.NDArray[np.uint8]
_OPSET = 17


def network_inputs(images: Iterable[Image]) -> Iterator[npt.NDArray[np.float32]]:
    """Normalised inputs [1,3,side,side] of uint8 images [side,side,3]."""
    for image in images:
        x = (image.astype(np.float32) - np.float32(128)) * np.float32(1 / 64)
        yield np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def load_net(recipe: Recipe, classes: int, checkpoint: Path) -> ResidualNet:
    """The trained network in evaluation mode."""
    net = ResidualNet(recipe.net, classes)
    net.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=False)["net"])
    return net.eval()


def _export(net: nn.Module, side: int, folder: Path) -> Path:
    path = folder / "plain.onnx"
    torch.onnx.export(
        net,
        (torch.zeros(1, 3, side, side),),
        str(path),
        opset_version=_OPSET,
        dynamo=False,
        input_names=["x"],
        output_names=["logits"],
        dynamic_axes={"x": {0: "n"}, "logits": {0: "n"}},
    )
    return path


def _with_pixel_input(model: onnx.ModelProto, side: int) -> onnx.ModelProto:
    graph = model.graph
    del graph.input[:]
    graph.input.append(
        helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", side, side, 3])
    )
    onnx.checker.check_model(model)
    return model


def export_int8(
    net: nn.Module,
    side: int,
    images: Iterable[Image],
    folder: Path,
    *,
    mirror: bool,
    labels: Sequence[str],
) -> onnx.ModelProto:
    """Quantize on `images`, uint8 [side,side,3] each; the labels go into the file's metadata.

    With `mirror` the graph averages the logits of each image and its mirror image.
    """
    quantized = folder / "int8.onnx"
    quantize(_export(net, side, folder), quantized, network_inputs(images))
    model = take_pixels(onnx.load(quantized), side)
    if mirror:
        model = average_with_mirror(model, len(labels))
    helper.set_model_props(model, {"labels": json.dumps(list(labels))})
    return model


def take_pixels(model: onnx.ModelProto, side: int) -> onnx.ModelProto:
    """Replace the float input and its QuantizeLinear by uint8 NHWC pixels."""
    graph = model.graph
    quantize = next(
        node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "x"
    )
    constants = {constant.name: constant for constant in graph.initializer}
    for name, value in (
        (quantize.input[1], np.array(1 / 64, np.float32)),
        (quantize.input[2], np.array(128, np.uint8)),
    ):
        constants[name].CopyFrom(numpy_helper.from_array(value, name))
    position = list(graph.node).index(quantize)
    graph.node.remove(quantize)
    graph.node.insert(
        position, helper.make_node("Transpose", ["image"], [quantize.output[0]], perm=[0, 3, 1, 2])
    )
    return _with_pixel_input(model, side)
