"""A trained `QuantResNet` as a QONNX file, which the compiler in `fpga/` reads."""

from __future__ import annotations

from pathlib import Path

import torch
from brevitas.export import export_qonnx

from models.recipes.cifar10.nets import QuantResNet

_OPSET = 17
SIDE = 32


def write_qonnx(net: QuantResNet, path: Path) -> None:
    """Export the network in evaluation mode."""
    export_qonnx(
        net.eval(),
        torch.zeros(1, 3, SIDE, SIDE),
        export_path=str(path),
        opset_version=_OPSET,
        dynamo=False,
    )
