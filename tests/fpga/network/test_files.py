"""Networks in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fpga.network.files import load_network, save_network
from fpga.network.network import Network
from hawkvision.errors import RepositoryError
from tests.fpga.networks import images, random_network


def test_a_network_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "network.npz"
    network = random_network(8, (4, 8), 1, seed=4)
    save_network(network, path)
    again: Network = load_network(path)
    pictures = images(3, 8, np.random.default_rng(5))
    assert np.array_equal(again(pictures), network(pictures))
    assert again.head.scale == network.head.scale
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RepositoryError):
        load_network(path)
