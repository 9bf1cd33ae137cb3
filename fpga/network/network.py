"""The integer network: what the hardware computes, in numpy. This is the specification.

A residual network on 8-bit streams: a convolution into the first stream, then blocks of two 3x3
convolutions with 4-bit inputs, whose result is added to the stream; a global sum and a dense layer
give logits. Every number is an integer; every stage after this one agrees bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fpga.network.layers import Block, Conv, Head, Ints
from fpga.network.parts import ConvPart, HeadPart, Part, Stage


@dataclass(frozen=True)
class Network:
    """The whole network; pictures are square, uint8 RGB, and enter as `x - 128`."""

    name: str
    side: int
    stem: Conv
    blocks: tuple[Block, ...]
    head: Head

    @property
    def classes(self) -> int:
        """How many logits there are."""
        return len(self.head.weights)

    @cached_property
    def digest(self) -> int:
        """32 bits of a SHA-256 over all that the network computes; its name does not count."""
        found = hashlib.sha256()
        requants = [block.entry for block in self.blocks]
        for part in self.convolutions():
            conv, side = part.conv, part.side
            found.update(repr((conv.weights.shape, conv.stride, conv.in_bits, side)).encode())
            found.update(conv.weights.tobytes())
            requants.append(conv.requant)
        for requant in requants:
            found.update(repr((requant.shift, requant.bits, requant.signed)).encode())
            found.update(requant.multiplier.tobytes() + requant.bias.tobytes())
        found.update(self.head.weights.tobytes() + self.head.bias.tobytes())
        return int.from_bytes(found.digest()[:4], "little")

    def streams(self, images: npt.NDArray[np.uint8]) -> list[Ints]:
        """What leaves the stem and each block, for uint8 images [N, side, side, 3]."""
        x = self.stem(images.astype(np.int64) - 128)
        found = [x]
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found

    def __call__(self, images: npt.NDArray[np.uint8]) -> Ints:
        """Integer logits [N, classes]."""
        return self.head(self.streams(images)[-1])

    @property
    def stem_part(self) -> ConvPart:
        """The stem in its place."""
        return ConvPart(self.stem, self.side)

    @property
    def head_part(self) -> HeadPart:
        """The head in its place, behind the last stream."""
        *_, side = (self.stem.out_side(self.side), *(stage.out_side for stage in self.stages()))
        return HeadPart("head", self.head, side)

    def stages(self) -> Iterator[Stage]:
        """Every block in its place, in the order of the data: the one walk through the blocks."""
        side = self.stem.out_side(self.side)
        for index, block in enumerate(self.blocks):
            stage = Stage(index, block, side)
            yield stage
            side = stage.out_side

    def parts(self) -> Iterator[Part]:
        """All that the network is made of."""
        yield self.stem_part
        for stage in self.stages():
            yield from stage
        yield self.head_part

    def convolutions(self) -> list[ConvPart]:
        """Every convolution; a block's way around before its branch, as digests and plans want."""
        found = [self.stem_part]
        for stage in self.stages():
            ways = (stage.skip, stage.first, stage.second)
            found += [part for part in ways if part is not None]
        return found
