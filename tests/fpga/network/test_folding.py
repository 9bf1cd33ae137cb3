"""How much is computed at once."""

from __future__ import annotations

import numpy as np
import pytest

from fpga.network.folding import cycles, fold, legal
from fpga.network.plan import check_folding
from hawkvision.errors import EngineError
from tests.fpga.networks import conv_for, random_network


def test_illegal_foldings_cannot_be_made() -> None:
    rng = np.random.default_rng(1)
    conv = conv_for(rng.integers(0, 16, (1, 4, 4, 6)), 4, rng)
    for pe, simd in legal(conv):
        assert conv.out_channels % pe == 0 and conv.in_channels % simd == 0
        assert cycles(conv, 4, pe, simd) >= 16 * conv.out_channels
    for pe, simd, named in ((3, 2, "PE 3"), (2, 4, "SIMD 4")):
        with pytest.raises(ValueError, match=named):
            check_folding(conv, pe, simd)
    network = random_network(8, (4, 8), 1, seed=1)
    with pytest.raises(EngineError, match="cannot take a picture in 10 cycles"):
        fold(network, 10)


def test_fewer_cycles_take_more_multipliers() -> None:
    network = random_network(16, (4, 8), 1, seed=1)
    products = [
        sum(pe * simd for name, (pe, simd) in fold(network, interval).items() if name != "head")
        for interval in (20_000, 5000, 2500)
    ]
    assert products == sorted(products) and products[0] < products[-1]
