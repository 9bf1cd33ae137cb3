"""What a network is made of, part by part, each in its place: with the side of what enters it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fpga.network.layers import STREAM_BITS, Block, Conv, Head, Requant


@dataclass(frozen=True)
class ConvPart:
    """A convolution in its place; `side` is that of its square input."""

    conv: Conv
    side: int

    @property
    def name(self) -> str:
        """The layer's."""
        return self.conv.name


@dataclass(frozen=True)
class EntryPart:
    """What narrows the stream for a block."""

    name: str
    requant: Requant


@dataclass(frozen=True)
class SkipPart:
    """What holds the values that go around the block `index`, `bits` each."""

    name: str
    index: int
    bits: int


@dataclass(frozen=True)
class SumPart:
    """Where a block's signed branch meets what went around it."""

    name: str
    branch_bits: int
    skip_bits: int
    skip_signed: bool


@dataclass(frozen=True)
class HeadPart:
    """The head; `side` is that of the last stream."""

    name: str
    head: Head
    side: int


Part = ConvPart | EntryPart | SkipPart | SumPart | HeadPart


@dataclass(frozen=True)
class Stage:
    """A block in its place; `side` is that of the stream which enters it. Iterates its parts."""

    index: int
    block: Block
    side: int

    @property
    def out_side(self) -> int:
        """The side of the stream that leaves."""
        return self.block.first.out_side(self.side)

    @property
    def entry(self) -> EntryPart:
        """Before both ways, or before the branch where the stream itself goes around."""
        return EntryPart(f"entry{self.index}", self.block.entry)

    @property
    def first(self) -> ConvPart:
        """Of the branch."""
        return ConvPart(self.block.first, self.side)

    @property
    def second(self) -> ConvPart:
        """Of the branch."""
        return ConvPart(self.block.second, self.out_side)

    @property
    def skip(self) -> ConvPart | None:
        """The way around, None for the stream itself."""
        return None if self.block.skip is None else ConvPart(self.block.skip, self.side)

    @property
    def fifo(self) -> SkipPart:
        """At the end of the way around."""
        return SkipPart(f"fifo{self.index}", self.index, self._skip_bits)

    @property
    def sum(self) -> SumPart:
        """The end of both ways."""
        bits, signed = self.block.second.requant.bits, self.block.skip is not None
        return SumPart(f"add{self.index}", bits, self._skip_bits, signed)

    @property
    def _skip_bits(self) -> int:
        return STREAM_BITS if self.block.skip is None else self.block.skip.requant.bits

    def __iter__(self) -> Iterator[Part]:
        yield from (self.entry, self.first)
        if self.skip is not None:
            yield self.skip
        yield from (self.second, self.fifo, self.sum)
