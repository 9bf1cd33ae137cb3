"""The integer network as an ONNX file."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("onnx", reason="onnx is not installed (extra fpga)")

from fpga.network.cpu_model import cpu_model
from tests.fpga.networks import images, random_network


def test_the_model_for_cpus_has_the_same_bits() -> None:
    network = random_network(16, (4, 8, 8), 1, seed=4, classes=5)
    model = cpu_model(network, list("abcde"))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    pictures = images(50, 16, np.random.default_rng(2))
    found = session.run(None, {"image": pictures})[0]
    assert np.array_equal(found, (network(pictures) * network.head.scale).astype(np.float32))
