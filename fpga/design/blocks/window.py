"""The sliding window: a few rows of the input in memory, read in the order of a convolution."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class SlidingWindow(wiring.Component):
    """Writes a serial picture into `kernel + stride` rows of memory, reads K x K windows from it.

    Parameters: `side` of the square input, `channels`, `kernel` (1 or 3, border of zeros),
    `stride`, `simd` channels a word, `folds` times that each window is read, `bits` of a value.

    Ports: `i`, stream of `bits`; `en` (in), moves the reading side; `valid` (out), a word is at the
    output; `word` (out, simd x bits, lowest channel first), zero in the border; `first`, `last`
    (out), the first and last word of a window. One word a cycle while the pixels are there; a word
    appears one enabled cycle after it is addressed.
    """

    def __init__(
        self,
        *,
        side: int,
        channels: int,
        kernel: int,
        stride: int,
        simd: int,
        folds: int,
        bits: int,
    ) -> None:
        self.side, self.channels, self.kernel, self.stride = side, channels, kernel, stride
        self.simd, self.folds, self.bits = simd, folds, bits
        self.padding = kernel // 2
        self.rows = kernel + stride
        self.out_side = (side + 2 * self.padding - kernel) // stride + 1
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(bits))),
                "en": In(1),
                "valid": Out(1),
                "word": Out(simd * bits),
                "first": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        words = self.channels // self.simd
        row_words = self.side * words
        depth = self.rows * row_words
        m.submodules.memory = memory = Memory(shape=self.simd * self.bits, depth=depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="sync")

        # Pixels that are in memory, counted from the oldest row that is still needed.
        ahead = Signal(range(self.rows * self.side + 1))
        pixel_in = Signal()
        self._write(m, write, ahead, pixel_in, words, depth)
        row_done, freed = Signal(), Signal(range(self.rows * self.side + 1))
        address, zero, have, first, last = self._read(m, ahead, row_done, freed, words, row_words)
        m.d.sync += ahead.eq(ahead + pixel_in - Mux(row_done, freed, 0))

        m.d.comb += [read.addr.eq(address), read.en.eq(self.en)]
        shown = Signal()
        with m.If(self.en):
            m.d.sync += [
                self.valid.eq(have),
                shown.eq(~zero),
                self.first.eq(first),
                self.last.eq(last),
            ]
        m.d.comb += self.word.eq(Mux(shown, read.data, 0))
        return m

    def _write(
        self, m: Module, write: object, ahead: Signal, pixel_in: Signal, words: int, depth: int
    ) -> None:
        """Pack `simd` values to a word and put it behind the last one, round and round."""
        lane = Signal(range(self.simd)) if self.simd > 1 else None
        word = Signal(range(words)) if words > 1 else None
        address = Signal(range(depth))
        held = Signal((self.simd - 1) * self.bits)
        m.d.comb += [
            self.i.ready.eq(ahead < self.rows * self.side),
            write.addr.eq(address),  # type: ignore[attr-defined]
            write.data.eq(Cat(held, self.i.payload)),  # type: ignore[attr-defined]
        ]
        taken = self.i.valid & self.i.ready
        word_in = taken & (lane == self.simd - 1) if lane is not None else taken
        m.d.comb += [
            write.en.eq(word_in),  # type: ignore[attr-defined]
            pixel_in.eq(word_in & (word == words - 1) if word is not None else word_in),
        ]
        with m.If(taken):
            if lane is not None:
                m.d.sync += [
                    held.eq(Cat(held, self.i.payload)[self.bits :]),
                    lane.eq(Mux(lane == self.simd - 1, 0, lane + 1)),
                ]
        with m.If(word_in):
            m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))
            if word is not None:
                m.d.sync += word.eq(Mux(word == words - 1, 0, word + 1))

    def _read(
        self,
        m: Module,
        ahead: Signal,
        row_done: Signal,
        freed: Signal,
        words: int,
        row_words: int,
    ) -> tuple[Signal, Signal, Signal, Signal, Signal]:
        """Counters over words, taps, folds, columns and rows; the address that they mean."""
        k, s, p, side, out = self.kernel, self.stride, self.padding, self.side, self.out_side
        word, kx, ky, fold, ox, oy = (
            Signal(range(max(2, count)), name=name)
            for count, name in (
                (words, "word_index"),
                (k, "kx"),
                (k, "ky"),
                (self.folds, "fold"),
                (out, "ox"),
                (out, "oy"),
            )
        )
        slot = Signal(range(self.rows))
        top, bottom = oy == 0, oy == out - 1
        offset = Mux(top, p, 0) if p else 0  # rows of border above the first window
        row = Signal(range(k + 1))
        m.d.comb += row.eq(Mux(ky < offset, 0, ky - offset) if p else ky)
        row_slot = Signal(range(2 * self.rows))
        m.d.comb += row_slot.eq(slot + row)
        wrapped = Signal(range(self.rows))
        m.d.comb += wrapped.eq(Mux(row_slot >= self.rows, row_slot - self.rows, row_slot))
        column = Signal(range(-p - 1, side + k + s))
        m.d.comb += column.eq(ox * s + kx - p)
        # How far the last window reaches beyond the picture.
        over = (out - 1) * s - p + k - side
        below = bottom & (ky > k - 1 - over) if over > 0 else 0
        zero, address = Signal(), Signal(range(self.rows * row_words))
        m.d.comb += [
            zero.eq((column < 0) | (column >= side) | (top & (ky < p) if p else 0) | below),
            address.eq(wrapped * row_words + column * words + word),
        ]
        reach = Signal(range(k + 1))  # the last row of the window that is in the picture
        m.d.comb += reach.eq(k - 1 - offset - (Mux(bottom, over, 0) if over > 0 else 0))
        right = Signal(range(side + k + s))
        m.d.comb += right.eq(Mux(ox * s + (k - 1 - p) >= side, side - 1, ox * s + (k - 1 - p)))
        have, first, last = Signal(), Signal(), Signal()
        ends = [
            (word, words),
            (kx, k),
            (ky, k),
            (fold, self.folds),
            (ox, out),
            (oy, out),
        ]
        # A 1x1 window with a stride frees pixels that it never reads: they have to be there.
        skips = k < s
        present = ((ox != out - 1) | (ahead >= freed)) if skips else 1
        m.d.comb += [
            have.eq((ahead > reach * side + right) & present),
            first.eq((word == 0) & (kx == 0) & (ky == 0)),
            last.eq((word == words - 1) & (kx == k - 1) & (ky == k - 1)),
        ]
        step = have & self.en
        for counter, count in ends:
            carry = Signal(name=f"{counter.name}_carry")
            m.d.comb += carry.eq(step & (counter == count - 1))
            with m.If(step):
                m.d.sync += counter.eq(Mux(counter == count - 1, 0, counter + 1))
            if counter is ox:
                m.d.comb += row_done.eq(carry)
            step = carry
        # Rows that the next row of windows does not need any more.
        middle, final = s, side - max(0, (out - 1) * s - p)
        gone = Mux(bottom, final, Mux(top, s - p, middle) if out > 1 else final)
        m.d.comb += freed.eq(gone * side)
        with m.If(row_done):
            moved = slot + gone
            m.d.sync += slot.eq(
                Mux(
                    moved >= 2 * self.rows,
                    moved - 2 * self.rows,
                    Mux(moved >= self.rows, moved - self.rows, moved),
                )
            )
        return address, zero, have, first, last
