"""The accelerator behind its buses, in Verilator, through the board's driver."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")


from fpga.board import registers
from fpga.board.driver import Accelerator as Driver
from fpga.board.driver import DriverError
from fpga.board.simulated import SimulatedBoard
from fpga.design.blocks.framer import words_of_picture
from hawkvision.errors import EngineError
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import SMALL, images

pytestmark = needs_verilator


def test_registers_say_what_was_built_and_the_scratch_register_keeps_bytes(
    board: SimulatedBoard,
) -> None:
    assert board.read(registers.ID) == registers.IDENTITY
    assert board.read(registers.VERSION) == registers.CURRENT_VERSION
    assert (board.read(registers.SIDE), board.read(registers.CLASSES)) == (8, 4)
    assert board.read(registers.DIGEST) == SMALL.digest
    board.write(registers.SCRATCH, 0x1234_5678)
    board.write(registers.SCRATCH, 0xFFFF_FFFF, strobe=0b0010)
    assert board.read(registers.SCRATCH) == 0x1234_FF78
    assert board.read(0xFFC) == 0
    before = board.read(registers.CYCLES)
    assert 0 < board.read(registers.CYCLES) - before < 20


@pytest.mark.parametrize("delays", list(itertools.product((0, 1, 5), repeat=3)))
def test_the_control_bus_waits_for_address_data_and_answer(
    board: SimulatedBoard, delays: tuple[int, int, int]
) -> None:
    board.address_after, board.data_after, board.answer_after = delays
    for value in (0xDEAD_BEEF, 0x0000_0001):
        board.write(registers.SCRATCH, value)
        assert board.read(registers.SCRATCH) == value
    assert board.read(registers.ID) == registers.IDENTITY


@pytest.mark.parametrize("stalls", [0, 30])
def test_a_batch_in_one_packet_is_bit_exact(board: SimulatedBoard, stalls: int) -> None:
    pictures = images(9, 8, np.random.default_rng(1))
    board.stall_in = board.stall_out = stalls
    driver = Driver(board, SMALL.digest)
    assert np.array_equal(driver.classify(pictures), SMALL(pictures))
    assert board.read(registers.PICTURES) == 9
    assert not board.read(registers.STATUS) & registers.MISFRAMED


def test_cycles_are_those_of_a_picture_alone_and_of_a_full_pipeline(board: SimulatedBoard) -> None:
    driver = Driver(board, SMALL.digest)
    pictures = images(6, 8, np.random.default_rng(3))
    start = board.cycle
    driver.classify(pictures[:1])
    alone = driver.measured().latency_cycles
    assert alone < board.cycle - start < alone + 60
    driver.classify(pictures)
    assert driver.measured().interval_cycles <= 640


def test_a_packet_that_ends_inside_a_picture_is_found_and_a_reset_heals_it(
    board: SimulatedBoard,
) -> None:
    pictures = images(2, 8, np.random.default_rng(4))
    with pytest.raises(DriverError, match="0 of 4"):
        board.exchange(pictures[0].reshape(-1)[:100], 4)
    assert board.read(registers.STATUS) & registers.MISFRAMED
    board.write(registers.CONTROL, registers.RESET)
    assert not board.read(registers.STATUS)
    assert np.array_equal(Driver(board, None).classify(pictures), SMALL(pictures))


def test_pictures_that_fill_no_words_are_refused() -> None:
    with pytest.raises(EngineError, match="words of four bytes"):
        words_of_picture(7)
    assert words_of_picture(32) == 768
