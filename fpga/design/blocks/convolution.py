"""A convolution: a matrix-vector unit behind a sliding window, a requantizer after it."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from fpga.design.blocks.packing import operand, taken_apart
from fpga.design.blocks.requant import SerialRequant
from fpga.design.blocks.window import SlidingWindow
from fpga.network.layers import Conv
from fpga.network.packing import ADDENDS, digits, lanes_per_block, spacing
from fpga.network.plan import check_folding

_BLOCK_ROM = 64
"""Words from which weights go to block RAM: look-up tables are what runs out."""


class ConvUnit(wiring.Component):
    """A convolution of `fpga.network.layers.Conv`, bit for bit.

    Parameters: the convolution, the `side` of its input, `pe` output channels and `simd` input
    channels at a time; they divide Cout and Cin. The products of the first `packed` of those input
    channels are computed in DSP blocks, several to each (`fpga.network.packing`), the others in
    look-up tables.

    Ports: `i`, stream of the input's bits (two's complement where signed); `o`, stream of the
    requantizer's bits. It takes K * K * Cin / simd * Cout / pe cycles for a pixel while its input
    is there and its output is taken, at least Cout.
    """

    def __init__(self, conv: Conv, side: int, pe: int, simd: int, *, packed: int = 0) -> None:
        check_folding(conv, pe, simd, packed)
        self.conv, self.side, self.pe, self.simd, self.packed = conv, side, pe, simd, packed
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(conv.in_bits))),
                "o": Out(stream.Signature(unsigned(conv.requant.bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        conv = self.conv
        folds = conv.out_channels // self.pe
        m.submodules.window = window = SlidingWindow(
            side=self.side,
            channels=conv.in_channels,
            kernel=conv.kernel,
            stride=conv.stride,
            simd=self.simd,
            folds=folds,
            bits=conv.in_bits,
        )
        m.submodules.requant = requant = SerialRequant(
            conv.requant, conv.out_channels, self.pe, conv.accumulator_bits
        )
        wiring.connect(m, wiring.flipped(self.i), window.i)
        wiring.connect(m, requant.o, wiring.flipped(self.o))
        m.submodules.weights = rom = Memory(
            shape=self.pe * self.simd * conv.weight_bits,
            depth=self._depth,
            init=self._rom(),
            attrs={"ram_style": "block", "rom_style": "block"} if self._depth >= _BLOCK_ROM else {},
        )
        weights = rom.read_port(domain="sync")
        enable = Signal()
        address = Signal(range(self._depth))
        m.d.comb += [window.en.eq(enable), weights.en.eq(enable), weights.addr.eq(address)]
        # The window shows a word one cycle after addressing it, and so do the weights: their
        # address runs with the words that are shown, one ahead.
        following = Signal(range(self._depth))
        m.d.comb += following.eq(Mux(address == self._depth - 1, 0, address + 1))
        with m.If(enable & window.valid):
            m.d.sync += address.eq(following)
        m.d.comb += weights.addr.eq(Mux(window.valid, following, address))

        flags: list[Value] = [window.valid, window.first, window.last]
        groups = self._packed_products(m, window.word, weights.data, enable)
        lanes = self._products(m, window.word, weights.data, enable)
        flags = _delayed(m, flags, enable)
        if self.simd > 1:
            groups = [_partial_sums(m, group, enable) for group in groups]
            lanes = [_partial_sums(m, lane, enable) for lane in lanes]
            flags = _delayed(m, flags, enable)
        for start, group in zip(self._groups, groups, strict=True):
            for total in group:
                apart = taken_apart(total, self._lanes_of(start), spacing(conv))
                for lane, value in enumerate(apart, start):
                    lanes[lane].append(value)
        while len(lanes[0]) > 1:
            lanes = [_partial_sums(m, lane, enable) for lane in lanes]
            flags = _delayed(m, flags, enable)
        valid, first, last = flags
        done = Signal()
        m.d.comb += [done.eq(valid & last), enable.eq(~(done & ~requant.ready))]
        m.d.comb += requant.valid.eq(done & enable)
        for lane, values in enumerate(lanes):
            total = Signal(signed(conv.accumulator_bits), name=f"sum_{lane}")
            register = Signal(signed(conv.accumulator_bits), name=f"accumulator_{lane}")
            m.d.comb += total.eq(Mux(first, 0, register) + values[0])
            with m.If(enable & valid):
                m.d.sync += register.eq(total)
            m.d.comb += requant.sums[lane].eq(total)
        return m

    @property
    def _depth(self) -> int:
        return self.conv.weights.size // (self.pe * self.simd)

    def _rom(self) -> list[int]:
        """Weights in the order of reading: fold, row, column, word; PE lanes of SIMD values."""
        conv = self.conv
        mask = (1 << conv.weight_bits) - 1
        out = []
        w = conv.weights.astype(int)
        for fold in range(0, conv.out_channels, self.pe):
            for ky in range(conv.kernel):
                for kx in range(conv.kernel):
                    for channel in range(0, conv.in_channels, self.simd):
                        part = w[fold : fold + self.pe, channel : channel + self.simd, ky, kx]
                        word = 0
                        for index, value in enumerate(self._stored(part).ravel().tolist()):
                            word |= (value & mask) << (index * conv.weight_bits)
                        out.append(word)
        return out

    @property
    def _groups(self) -> range:
        """The first lanes of those that share DSP blocks."""
        return range(0, self.pe, lanes_per_block(self.conv))

    def _lanes_of(self, first: int) -> int:
        return min(lanes_per_block(self.conv), self.pe - first)

    def _stored(self, part: NDArray[np.int64]) -> NDArray[np.int64]:
        """Weights [PE,SIMD] as the memory holds them: those of packed channels as digits."""
        stored = part.copy()
        for column in range(self.packed):
            for first in self._groups:
                lanes = slice(first, first + self._lanes_of(first))
                stored[lanes, column] = digits(part[lanes, column].tolist())
        return stored

    def _input(self, word: Signal, column: int) -> Value:
        conv = self.conv
        value = word[column * conv.in_bits : (column + 1) * conv.in_bits]
        return value.as_signed() if conv.in_signed else value

    def _weight(self, weights: Value, lane: int, column: int) -> Value:
        at = (lane * self.simd + column) * self.conv.weight_bits
        return weights[at : at + self.conv.weight_bits]

    def _products(
        self, m: Module, word: Signal, weights: Value, enable: Signal
    ) -> list[list[Value]]:
        """For each lane, the products of the channels that are not packed, in registers."""
        conv = self.conv
        lanes: list[list[Value]] = []
        for lane in range(self.pe):
            row: list[Value] = []
            for column in range(self.packed, self.simd):
                weight = self._weight(weights, lane, column).as_signed()
                product = Signal(signed(conv.weight_bits + conv.in_bits), name=f"p_{lane}_{column}")
                with m.If(enable):
                    m.d.sync += product.eq(weight * self._input(word, column))
                row.append(product)
            lanes.append(row)
        return lanes

    def _packed_products(
        self, m: Module, word: Signal, weights: Value, enable: Signal
    ) -> list[list[Value]]:
        """For each group of lanes, the products of the packed channels, in registers."""
        conv, apart = self.conv, spacing(self.conv)
        groups: list[list[Value]] = []
        for first in self._groups:
            lanes = range(first, first + self._lanes_of(first))
            bits = conv.weight_bits + (len(lanes) - 1) * apart + conv.in_bits
            row: list[Value] = []
            for column in range(self.packed):
                both = operand([self._weight(weights, lane, column) for lane in lanes], apart)
                product = Signal(signed(bits), name=f"pp_{first}_{column}")
                with m.If(enable):
                    m.d.sync += product.eq(both * self._input(word, column))
                row.append(product)
            groups.append(row)
        return groups


def _delayed(m: Module, values: list[Value], enable: Signal) -> list[Value]:
    out: list[Value] = []
    for value in values:
        register = Signal(Shape.cast(value.shape()))
        with m.If(enable):
            m.d.sync += register.eq(value)
        out.append(register)
    return out


def _partial_sums(m: Module, values: list[Value], enable: Signal) -> list[Value]:
    out: list[Value] = []
    for start in range(0, len(values), ADDENDS):
        total = values[start]
        for value in values[start + 1 : start + ADDENDS]:
            total = total + value
        register = Signal(signed(len(total)))
        with m.If(enable):
            m.d.sync += register.eq(total)
        out.append(register)
    return out
