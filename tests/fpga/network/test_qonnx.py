"""QONNX files that fit, and others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed (extra fpga)")

import onnx

from fpga.network.cpu_model import cpu_model
from fpga.network.qonnx import import_qonnx
from hawkvision.errors import RepositoryError
from tests.fpga.networks import random_network
from tests.fpga.qonnx_files import write_qonnx

NETWORK = random_network(8, (4, 8), 1, seed=1)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"group": 4}, "groups"), ({"pads": [0, 0, 0, 0]}, "border"), ({"strides": [2, 1]}, "stride")],
)
def test_a_layer_that_cannot_be_built_is_named(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    path = tmp_path / "odd.qonnx"
    write_qonnx(NETWORK, path, **change)
    with pytest.raises(RepositoryError, match=f"node conv_1 .*{why}"):
        import_qonnx(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "good.qonnx"
    write_qonnx(NETWORK, source)
    path = tmp_path / "not.qonnx"
    path.write_bytes(b"nothing")
    with pytest.raises(RepositoryError, match="not an ONNX file"):
        import_qonnx(path)
    onnx.save(cpu_model(NETWORK, list("abcd")), path)
    with pytest.raises(RepositoryError, match="a network in floats, not QONNX"):
        import_qonnx(path)
    model = onnx.load(source)
    zero = next(node for node in model.graph.node if node.op_type == "Quant").input[2]
    for constant in model.graph.initializer:
        if constant.name == zero:
            constant.CopyFrom(onnx.numpy_helper.from_array(np.array(1, np.float32), zero))
    onnx.save(model, path)
    with pytest.raises(RepositoryError, match="zero point"):
        import_qonnx(path)
