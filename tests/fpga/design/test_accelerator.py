"""The accelerator behind its buses, in Verilator, through the board's driver."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.board import registers
from fpga.board.driver import MAX_BATCH, DriverError
from fpga.board.driver import Accelerator as Driver
from fpga.board.simulated import SimulatedBoard
from fpga.design.blocks.framer import WidthConverter, words_of_picture
from fpga.network.folding import fold
from fpga.network.plan import Plan, generous_skip_depths
from fpga.tools.axi_simulation import board_library, library_of
from fpga.tools.measure import simulate
from fpga.tools.simulate import Simulation
from hawkvision.errors import EngineError
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import images, random_network

pytestmark = needs_verilator
NETWORK = random_network(8, (4, 8), 1, seed=3)
PLAN = Plan(NETWORK, fold(NETWORK, 640), generous_skip_depths(NETWORK), profile="small")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verilator")


@pytest.fixture
def board(cache: Path) -> Iterator[SimulatedBoard]:
    found = SimulatedBoard(board_library(PLAN, cache), limit=300_000)
    yield found
    found.close()


def test_registers_say_what_was_built_and_the_scratch_register_keeps_bytes(
    board: SimulatedBoard,
) -> None:
    assert board.read(registers.ID) == registers.IDENTITY
    assert board.read(registers.VERSION) == registers.CURRENT_VERSION
    assert (board.read(registers.SIDE), board.read(registers.CLASSES)) == (8, 4)
    assert board.read(registers.DIGEST) == NETWORK.digest
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


_RUDE = """
module hv_accel(input aclk, input aresetn,
    input [31:0] s_axis_tdata, input [3:0] s_axis_tkeep, input s_axis_tlast, input s_axis_tvalid,
    output s_axis_tready,
    output [31:0] m_axis_tdata, output [3:0] m_axis_tkeep, output m_axis_tlast,
    output m_axis_tvalid, input m_axis_tready,
    input [11:0] s_axi_awaddr, input s_axi_awvalid, output s_axi_awready,
    input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid, output s_axi_wready,
    output [1:0] s_axi_bresp, output s_axi_bvalid, input s_axi_bready,
    input [11:0] s_axi_araddr, input s_axi_arvalid, output s_axi_arready,
    output [31:0] s_axi_rdata, output [1:0] s_axi_rresp, output s_axi_rvalid, input s_axi_rready);
  reg [31:0] cycle = 0;
  reg asked = 0;
  always @(posedge aclk) begin cycle <= cycle + 1; asked <= s_axi_arvalid; end
  assign s_axis_tready = 1, m_axis_tvalid = 1, m_axis_tkeep = 15, m_axis_tlast = 0;
  assign m_axis_tdata = cycle;                               // changes while it waits
  assign s_axi_awready = 1, s_axi_wready = 1, s_axi_arready = 1, s_axi_bresp = 0, s_axi_rresp = 0;
  assign s_axi_bvalid = s_axi_awvalid;                       // answers without the data
  assign s_axi_rvalid = asked, s_axi_rdata = 7;              // takes its answer back
endmodule
"""


def test_an_accelerator_that_breaks_the_rules_of_its_buses_is_found(cache: Path) -> None:
    rude = SimulatedBoard(library_of(_RUDE, cache), limit=1000)
    assert rude.read(0) == 7
    rude.answer_after = 3
    with pytest.raises(DriverError, match="rule"):
        rude.read(0)
    with pytest.raises(DriverError, match="rule"):
        rude.write(0, 1)
    rude.stall_out = 50
    with pytest.raises(DriverError, match="output stream"):
        rude.exchange(np.zeros(8, np.uint8), 100)
    rude.close()


class _Restless(wiring.Component):
    """Counts without a look at `ready`."""

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.o.valid.eq(1), self.i.ready.eq(1)]
        m.d.sync += self.o.payload.eq(self.o.payload + 1)
        return m


def test_a_value_that_changes_while_it_waits_is_found(cache: Path) -> None:
    simulation = Simulation(_Restless(), cache=cache)
    assert simulation.run(np.zeros(4, np.int64), 20, limit=100).cycles == 20
    with pytest.raises(EngineError, match="changed"):
        simulation.run(np.zeros(4, np.int64), 20, limit=100, stall_out=30)


@pytest.mark.parametrize("stalls", [0, 30])
def test_a_batch_in_one_packet_is_bit_exact(board: SimulatedBoard, stalls: int) -> None:
    pictures = images(9, 8, np.random.default_rng(1))
    board.stall_in = board.stall_out = stalls
    driver = Driver(board, NETWORK.digest)
    assert np.array_equal(driver.classify(pictures), NETWORK(pictures))
    assert board.read(registers.PICTURES) == 9
    assert not board.read(registers.STATUS) & registers.MISFRAMED


def test_more_pictures_than_a_transfer_holds_go_in_several(board: SimulatedBoard) -> None:
    pictures = images(MAX_BATCH + 3, 8, np.random.default_rng(2))
    driver = Driver(board, None)
    assert np.array_equal(driver.classify(pictures), NETWORK(pictures))
    assert driver.classify(pictures[:0]).shape == (0, 4)


def test_cycles_are_those_of_a_picture_alone_and_of_a_full_pipeline(board: SimulatedBoard) -> None:
    driver = Driver(board, NETWORK.digest)
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
    assert np.array_equal(Driver(board, None).classify(pictures), NETWORK(pictures))


def test_the_driver_refuses_another_network_and_other_pictures(board: SimulatedBoard) -> None:
    with pytest.raises(DriverError, match="holds network"):
        Driver(board, NETWORK.digest ^ 1)
    with pytest.raises(DriverError, match="uint8"):
        Driver(board, None).classify(np.zeros((1, 4, 4, 3), np.uint8))


def test_random_pictures_are_compared_with_and_without_stalls(cache: Path) -> None:
    found = simulate(PLAN, cache, pictures=None, images=100, stalls=30, seed=5)
    assert found["bit_exact_images"] == found["bit_exact_images_stalled"] == 100
    assert found["interval_cycles"] <= 640 <= found["latency_cycles"]


def test_words_are_taken_apart_lowest_byte_first(cache: Path) -> None:
    words = np.random.default_rng(6).integers(0, 1 << 32, 50, np.uint64).astype(np.int64)
    simulation = Simulation(WidthConverter(8, 4), cache=cache)
    expected = words.astype("<u4").view(np.uint8)
    for stall in (0, 40):
        run = simulation.run(words, 200, limit=2000, stall_in=stall, stall_out=stall, signed=False)
        assert np.array_equal(run.outputs, expected)
    assert simulation.run(words, 200, limit=2000).cycles < 210


def test_pictures_that_fill_no_words_are_refused() -> None:
    with pytest.raises(ValueError, match="words of four bytes"):
        words_of_picture(7)
    assert words_of_picture(32) == 768
