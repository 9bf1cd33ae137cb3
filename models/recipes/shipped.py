"""Networks for torch from published int8 files: teachers without their checkpoints.

A file holds a `ResidualNet` whose batch norms went into the convolutions; so they do here.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn

from models.recipes.floats import dequantized
from models.recipes.nets import NetSpec, ResidualNet


def float_net(spec: NetSpec, classes: int, path: Path) -> ResidualNet:
    """The network of a published int8 file in evaluation mode.

    Raises ValueError where the file does not hold a network of `spec`.
    """
    graph = onnx.load(path).graph
    constants = dequantized(graph)
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    pairs = [(constants[node.input[1]], constants[node.input[2]]) for node in layers]
    net = ResidualNet(spec, classes)
    _fold(net)
    # Modules stand in the order in which the exported graph runs them.
    modules = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    if [weight.shape for weight, _ in pairs] != [tuple(m.weight.shape) for m in modules]:
        raise ValueError(f"{path.name} does not hold a network of {spec}")
    with torch.no_grad():
        for module, (weight, bias) in zip(modules, pairs, strict=True):
            assert module.bias is not None
            module.weight.copy_(torch.from_numpy(weight))
            module.bias.copy_(torch.from_numpy(bias))
    return net.eval()


def _fold(net: nn.Module) -> None:
    """Give each convolution a bias and take the norms out."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.Conv2d):
                shape = (child.in_channels, child.out_channels, child.kernel_size)
                setattr(parent, name, nn.Conv2d(*shape, child.stride, child.padding))
