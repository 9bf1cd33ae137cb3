"""What each layer of an integer network computes, in numpy: the specification of its hardware."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hawkvision.errors import EngineError

Ints = npt.NDArray[np.int64]
Weights = npt.NDArray[np.int8]
STREAM_BITS = 8


@dataclass(frozen=True)
class Requant:
    """`clip((x * multiplier + bias) >> shift)` to `bits`, per channel; the shift rounds down.

    `multiplier` and `bias` int64 [C]; rounding to nearest is a half in the bias.
    """

    multiplier: Ints
    bias: Ints
    shift: int
    bits: int
    signed: bool = False

    @property
    def low(self) -> int:
        """The smallest output."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest output."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    def __call__(self, x: Ints) -> Ints:
        """Integers [..., C] in, integers [..., C] out."""
        scaled = (x * self.multiplier + self.bias) >> self.shift
        return np.asarray(np.clip(scaled, self.low, self.high))


@dataclass(frozen=True)
class Conv:
    """A convolution without bias and what makes its sums narrow again.

    `weights` int8 [Cout, Cin, K, K], `weight_bits` of which are used, symmetric ([-7, 7] for 4).
    Inputs have `in_bits`, signed or not; the border is zero.
    """

    name: str
    weights: Weights
    weight_bits: int
    stride: int
    in_bits: int
    in_signed: bool
    requant: Requant

    def __post_init__(self) -> None:
        limit = (1 << (self.weight_bits - 1)) - 1
        if np.abs(self.weights.astype(np.int16)).max(initial=0) > limit:
            raise EngineError(f"{self.name}: weights beyond {-limit}..{limit}")
        if self.kernel not in (1, 3) or self.stride not in (1, 2):
            raise EngineError(f"{self.name}: kernel {self.kernel}, stride {self.stride}: not built")

    @property
    def out_channels(self) -> int:
        """Cout."""
        return int(self.weights.shape[0])

    @property
    def in_channels(self) -> int:
        """Cin."""
        return int(self.weights.shape[1])

    @property
    def kernel(self) -> int:
        """K, 1 or 3."""
        return int(self.weights.shape[2])

    @property
    def padding(self) -> int:
        """Pixels of zero border on each side."""
        return self.kernel // 2

    def out_side(self, side: int) -> int:
        """The side of the output for a square input."""
        return (side + 2 * self.padding - self.kernel) // self.stride + 1

    def macs(self, side: int) -> int:
        """Multiply-adds for a square input."""
        return self.weights.size * self.out_side(side) ** 2

    @cached_property
    def accumulator_bits(self) -> int:
        """Bits of the signed sums, from the weights as they are."""
        high = (1 << (self.in_bits - 1)) if self.in_signed else (1 << self.in_bits) - 1
        largest = np.abs(self.weights.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0) * high
        return int(largest).bit_length() + 1

    @cached_property
    def _matrix(self) -> npt.NDArray[np.float32]:
        return self.weights.transpose(2, 3, 1, 0).reshape(-1, self.out_channels).astype(np.float32)

    def sums(self, x: Ints) -> Ints:
        """Accumulators int64 [N, H', W', Cout] for inputs [N, H, W, Cin].

        The products are summed as float32, which is exact below 2^24.
        """
        if self.accumulator_bits > 24:
            raise EngineError(f"{self.name}: sums of {self.accumulator_bits} bits")
        k, s, p = self.kernel, self.stride, self.padding
        padded = np.pad(x.astype(np.float32), ((0, 0), (p, p), (p, p), (0, 0)))
        side = self.out_side(x.shape[1])
        taps = [
            padded[:, dy : dy + s * side : s, dx : dx + s * side : s][:, :side, :side]
            for dy in range(k)
            for dx in range(k)
        ]
        columns = np.concatenate(taps, axis=3)
        return (columns @ self._matrix).astype(np.int64)

    def __call__(self, x: Ints) -> Ints:
        """Requantized output [N, H', W', Cout]."""
        return self.requant(self.sums(x))


@dataclass(frozen=True)
class Block:
    """`clip(second(first(entry(x))) + skip)`: entry narrows the 8-bit stream to 4 bits.

    `skip` is a 1x1 convolution of the narrowed input, or None for the stream itself. The requant of
    `second` and of `skip` give signed values in units of the stream that leaves the block.
    """

    entry: Requant
    first: Conv
    second: Conv
    skip: Conv | None

    def __call__(self, x: Ints) -> Ints:
        """The next stream, uint8 values [N, H', W', C']."""
        narrow = self.entry(x)
        added = self.second(self.first(narrow)) + (x if self.skip is None else self.skip(narrow))
        return np.asarray(np.clip(added, 0, (1 << STREAM_BITS) - 1))


@dataclass(frozen=True)
class Head:
    """Sum over the picture, then logits `sums @ weights.T + bias`; `scale` makes them floats."""

    weights: Weights
    bias: Ints
    scale: float

    def __call__(self, x: Ints) -> Ints:
        """Logits int64 [N, classes]."""
        return np.asarray(x.sum(axis=(1, 2)) @ self.weights.astype(np.int64).T + self.bias)
