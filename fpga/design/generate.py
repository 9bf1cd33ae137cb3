"""From an integer network and its folding to one streaming design, and to Verilog."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amaranth.back import verilog
from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.design.blocks.axi import bus_units
from fpga.design.blocks.convolution import ConvUnit
from fpga.design.blocks.head import LOGIT_BITS, HeadUnit
from fpga.design.blocks.requant import TableRequant
from fpga.design.blocks.streams import Fifo, Fork, ResidualAdd
from fpga.network.layers import STREAM_BITS
from fpga.network.parts import (
    ConvPart,
    EntryPart,
    HeadPart,
    Part,
    SkipPart,
    Stage,
    SumPart,
)
from fpga.network.plan import Plan
from hawkvision.errors import EngineError


def unit(plan: Plan, part: Part) -> wiring.Component:
    """The hardware of one part."""
    match part:
        case ConvPart(conv, side):
            folding, packed = plan.folding[conv.name], plan.packed.get(conv.name, 0)
            return ConvUnit(conv, side, *folding, packed=packed)
        case EntryPart(requant=requant):
            return TableRequant(requant, STREAM_BITS)
        case SkipPart(index=index, bits=bits):
            return Fifo(bits, plan.skip_depths[index])
        case SumPart(branch_bits=branch_bits, skip_bits=skip_bits, skip_signed=signed):
            return ResidualAdd(branch_bits, skip_bits, signed, STREAM_BITS)
        case HeadPart(name, head, side):
            return HeadUnit(head, side * side, plan.folding[name][0])


class BlockUnit(wiring.Component):
    """`fpga.network.layers.Block`: entry, two convolutions, the way around them, and the sum.

    Ports: `i`, `o`: streams of 8 bits; `level` (out), the skip FIFO's filling.
    """

    def __init__(self, plan: Plan, stage: Stage) -> None:
        self.plan, self.stage = plan, stage
        one = stream.Signature(unsigned(STREAM_BITS))
        depth = plan.skip_depths[stage.index]
        super().__init__({"i": In(one), "o": Out(one), "level": Out(range(depth + 1))})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        plan, stage = self.plan, self.stage
        m.submodules.entry = entry = unit(plan, stage.entry)
        m.submodules.first = first = unit(plan, stage.first)
        m.submodules.second = second = unit(plan, stage.second)
        m.submodules.fifo = fifo = unit(plan, stage.fifo)
        m.submodules.add = add = unit(plan, stage.sum)
        if stage.skip is None:
            m.submodules.fork = fork = Fork(STREAM_BITS)
            wiring.connect(m, wiring.flipped(self.i), fork.i)
            wiring.connect(m, fork.a, entry.i)
            wiring.connect(m, fork.b, fifo.i)
            wiring.connect(m, entry.o, first.i)
        else:
            m.submodules.fork = fork = Fork(stage.block.entry.bits)
            m.submodules.skip = skip = unit(plan, stage.skip)
            wiring.connect(m, wiring.flipped(self.i), entry.i)
            wiring.connect(m, entry.o, fork.i)
            wiring.connect(m, fork.a, first.i)
            wiring.connect(m, fork.b, skip.i)
            wiring.connect(m, skip.o, fifo.i)
        wiring.connect(m, first.o, second.i)
        wiring.connect(m, second.o, add.branch)
        wiring.connect(m, fifo.o, add.skip)
        wiring.connect(m, add.o, wiring.flipped(self.o))
        m.d.comb += self.level.eq(fifo.level)
        return m


LEVEL_BITS = 32


class NetworkUnit(wiring.Component):
    """The whole network.

    Ports: `i`, stream of 8-bit values (R, G, B, row by row); `o`, stream of logits; with `watched`,
    `levels` (out), the filling of every skip FIFO, 32 bits each.
    """

    def __init__(self, plan: Plan, *, watched: bool = False) -> None:
        self.plan, self.watched = plan, watched
        ports = {
            "i": In(stream.Signature(unsigned(8))),
            "o": Out(stream.Signature(unsigned(LOGIT_BITS))),
        }
        if watched:
            ports["levels"] = Out(LEVEL_BITS * len(plan.network.blocks))
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        plan, network = self.plan, self.plan.network
        m.submodules.stem = stem = unit(plan, network.stem_part)
        m.d.comb += [
            stem.i.valid.eq(self.i.valid),
            stem.i.payload.eq(self.i.payload ^ 0x80),  # x - 128 in two's complement
            self.i.ready.eq(stem.i.ready),
        ]
        out = stem.o
        for stage in network.stages():
            m.submodules[f"block_{stage.index}"] = block = BlockUnit(plan, stage)
            if self.watched:
                m.d.comb += self.levels.word_select(stage.index, LEVEL_BITS).eq(block.level)
            wiring.connect(m, out, block.i)
            out = block.o
        m.submodules.head = head = unit(plan, network.head_part)
        wiring.connect(m, out, head.i)
        wiring.connect(m, head.o, wiring.flipped(self.o))
        return m


def to_verilog(unit: wiring.Component, name: str) -> str:
    """Verilog of a component, as module `name`; no path of this machine is in it.

    Raises EngineError where Amaranth finds no yosys that can write it.
    """
    try:
        text = verilog.convert(unit, name=name, emit_src=False, strip_internal_attrs=True)
    except verilog.YosysError as error:
        *_, reason = str(error).splitlines() or ["yosys failed"]
        raise EngineError(
            f"no Verilog can be written: {reason}",
            hint="Amaranth needs yosys 0.40 or newer: pip install 'hawkvision[fpga]'.",
        ) from error
    return str(text)


def units(plan: Plan) -> dict[str, Callable[[], wiring.Component]]:
    """What makes every unit of the design on its own, by name, in the order of the data."""
    network = plan.network
    inside = {part.name: partial(unit, plan, part) for part in network.parts()}
    return {**inside, **bus_units(network.side, network.classes)}
