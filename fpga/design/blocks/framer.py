"""Pictures as words of a bus: where each begins and ends, how long it takes, words to bytes."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hawkvision.errors import EngineError

WORD = 32
IN_FLIGHT = 16
"""Pictures that may be inside at once; more than any network holds."""


def words_of_picture(side: int) -> int:
    """32-bit words of a square RGB picture. Raises EngineError where its bytes do not fill them."""
    if side * side * 3 % 4:
        raise EngineError(
            f"pictures of side {side} do not fill words of four bytes", hint="Take an even side."
        )
    return side * side * 3 // 4


class WidthConverter(wiring.Component):
    """Words of `ratio` values to single values, lowest first, one a cycle.

    Ports: `i`, stream of `ratio * bits`; `o`, stream of `bits`. A word is held while its values
    leave; the next one is taken with the last of them.
    """

    def __init__(self, bits: int, ratio: int) -> None:
        self.bits, self.ratio = bits, ratio
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(bits * ratio))),
                "o": Out(stream.Signature(unsigned(bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        held, left = Signal(self.bits * self.ratio), Signal(range(self.ratio + 1))
        m.d.comb += [
            self.o.valid.eq(left != 0),
            self.o.payload.eq(held[: self.bits]),
            self.i.ready.eq((left == 0) | ((left == 1) & self.o.ready)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [held.eq(held >> self.bits), left.eq(left - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(self.i.payload), left.eq(self.ratio)]
        return m


class Framer(wiring.Component):
    """Counts pictures in and logits out, carries `last` past the network, measures cycles.

    Parameters: `words` of 32 bits in a picture, `classes`.

    Ports: `i`, stream of words with `last` and `whole` (all bytes of the word are there); `feed`,
    stream of words to the network; `logits`, stream from it; `o`, stream of logits with `last`,
    which follows the last logit of a picture that ended with `last`. Out: `latency`, `interval`,
    `pictures`, `busy`, `misframed`, `cycles`, as in `fpga.board.registers`.
    """

    def __init__(self, words: int, classes: int) -> None:
        self.words, self.classes = words, classes
        incoming = data.StructLayout({"word": WORD, "last": 1, "whole": 1})
        outgoing = data.StructLayout({"word": WORD, "last": 1})
        one = stream.Signature(unsigned(WORD))
        counter = Out(WORD)
        super().__init__(
            {
                "i": In(stream.Signature(incoming)),
                "feed": Out(one),
                "logits": In(one),
                "o": Out(stream.Signature(outgoing)),
                "latency": counter,
                "interval": counter,
                "pictures": counter,
                "cycles": counter,
                "busy": Out(1),
                "misframed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.d.sync += self.cycles.eq(self.cycles + 1)
        # Each picture leaves its first cycle when it begins and its `last` when it ends.
        m.submodules.begun = begun = SyncFIFOBuffered(width=WORD, depth=IN_FLIGHT)
        m.submodules.ended = ended = SyncFIFOBuffered(width=1, depth=IN_FLIGHT)
        word, first, final = Signal(range(self.words)), Signal(), Signal()
        room = Signal()
        m.d.comb += [
            first.eq(word == 0),
            final.eq(word == self.words - 1),
            room.eq((~first | begun.w_rdy) & (~final | ended.w_rdy)),
            self.feed.valid.eq(self.i.valid & room),
            self.feed.payload.eq(self.i.payload.word),
            self.i.ready.eq(self.feed.ready & room),
        ]
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            begun.w_en.eq(taken & first),
            begun.w_data.eq(self.cycles),
            ended.w_en.eq(taken & final),
            ended.w_data.eq(self.i.payload.last),
        ]
        with m.If(taken):
            m.d.sync += word.eq(Mux(final, 0, word + 1))
            with m.If((self.i.payload.last & ~final) | ~self.i.payload.whole):
                m.d.sync += self.misframed.eq(1)
        self._outgoing(m, begun, ended)
        return m

    def _outgoing(self, m: Module, begun: SyncFIFOBuffered, ended: SyncFIFOBuffered) -> None:
        index = Signal(range(max(2, self.classes)))
        final, gone = Signal(), Signal()
        seen, before = Signal(), Signal(WORD)
        m.d.comb += [
            final.eq(index == self.classes - 1),
            self.o.valid.eq(self.logits.valid),
            self.o.payload.word.eq(self.logits.payload),
            self.o.payload.last.eq(final & ended.r_data),
            self.logits.ready.eq(self.o.ready),
            gone.eq(self.o.valid & self.o.ready),
            begun.r_en.eq(gone & final),
            ended.r_en.eq(gone & final),
            self.busy.eq(begun.r_rdy),
        ]
        with m.If(gone):
            m.d.sync += index.eq(Mux(final, 0, index + 1))
        with m.If(gone & final):
            m.d.sync += [
                self.latency.eq(self.cycles - begun.r_data),
                self.pictures.eq(self.pictures + 1),
                before.eq(self.cycles),
                seen.eq(1),
            ]
            with m.If(seen):
                m.d.sync += self.interval.eq(self.cycles - before)
