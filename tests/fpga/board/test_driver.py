"""The driver over a simulated accelerator."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.board.driver import MAX_BATCH, DriverError
from fpga.board.driver import Accelerator as Driver
from fpga.board.simulated import SimulatedBoard
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import SMALL, images

pytestmark = needs_verilator


def test_more_pictures_than_a_transfer_holds_go_in_several(board: SimulatedBoard) -> None:
    pictures = images(MAX_BATCH + 3, 8, np.random.default_rng(2))
    driver = Driver(board, None)
    assert np.array_equal(driver.classify(pictures), SMALL(pictures))
    assert driver.classify(pictures[:0]).shape == (0, 4)


def test_the_driver_refuses_another_network_and_other_pictures(board: SimulatedBoard) -> None:
    with pytest.raises(DriverError, match="holds network"):
        Driver(board, SMALL.digest ^ 1)
    with pytest.raises(DriverError, match="uint8"):
        Driver(board, None).classify(np.zeros((1, 4, 4, 3), np.uint8))
