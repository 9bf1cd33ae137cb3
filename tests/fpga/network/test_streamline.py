"""From floats in steps to integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed (extra fpga)")

from fpga.network.qonnx import import_qonnx
from fpga.network.reference import run_qonnx
from fpga.network.streamline import streamline
from tests.fpga.networks import images, random_network
from tests.fpga.qonnx_files import write_qonnx


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("blocks", [1, 2])
def test_integers_compute_what_the_file_computes_in_floats(
    tmp_path: Path, seed: int, blocks: int
) -> None:
    given = random_network(8, (4, 8), blocks, seed=seed)
    path = tmp_path / "small.qonnx"
    write_qonnx(given, path)
    network = streamline(import_qonnx(path), "small", 8)
    pictures = images(40, 8, np.random.default_rng(seed))
    expected = run_qonnx(path, pictures)
    found = network(pictures) * network.head.scale
    # A value that lies on a border may fall to either side; few do.
    exact = np.isclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max()).all(axis=1)
    assert exact.mean() > 0.9
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95
    assert network.digest != given.digest  # the same function, other fixed-point numbers
    channels = [part.conv.out_channels for part in network.convolutions()]
    assert channels == [part.conv.out_channels for part in given.convolutions()]
