"""Random integer layers and networks whose values are spread over their ranges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fpga.network.folding import fold
from fpga.network.layers import Block, Conv, Head, Ints, Requant
from fpga.network.network import Network
from fpga.network.plan import Plan, generous_skip_depths

SHIFT = 16


def requant_for(sums: Ints, bits: int, signed: bool, rng: np.random.Generator) -> Requant:
    """A requantizer that spreads these sums [..., C] over its range, different by channel."""
    channels = sums.shape[-1]
    low, high = np.percentile(sums, [2, 98])
    scale = 0.8 * (1 << bits) / max(1.0, float(high - low)) * (1 << SHIFT)
    factors = np.asarray(rng.uniform(0.8, 1.2, channels))
    multiplier = np.maximum(1, (scale * factors).astype(np.int64))
    middle = 0.0 if signed else 0.4 * (1 << bits)
    bias = ((middle + 0.5) * (1 << SHIFT) - (low + high) / 2 * multiplier).astype(np.int64)
    return Requant(multiplier, bias, SHIFT, bits, signed)


def conv_for(
    x: Ints,
    out: int,
    rng: np.random.Generator,
    *,
    name: str = "conv",
    kernel: int = 3,
    stride: int = 1,
    weight_bits: int = 4,
    in_bits: int = 4,
    in_signed: bool = False,
    out_bits: int = 4,
    out_signed: bool = False,
) -> Conv:
    """Random weights for inputs like `x`, a requantizer that fits."""
    limit = (1 << (weight_bits - 1)) - 1
    shape = (out, x.shape[-1], kernel, kernel)
    weights = rng.integers(-limit, limit + 1, shape).astype(np.int8)
    blank = Requant(np.ones(out, np.int64), np.zeros(out, np.int64), 0, out_bits, out_signed)
    plain = Conv(name, weights, weight_bits, stride, in_bits, in_signed, blank)
    fitted = requant_for(plain.sums(x), out_bits, out_signed, rng)
    return Conv(name, weights, weight_bits, stride, in_bits, in_signed, fitted)


def images(count: int, side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Random pictures; the first is black, the second white."""
    found = rng.integers(0, 256, (count, side, side, 3)).astype(np.uint8)
    found[0] = 0
    if count > 1:
        found[1] = 255
    return found


def random_network(
    side: int, widths: tuple[int, ...], blocks: int, seed: int, classes: int = 4
) -> Network:
    """A residual network like the real ones, of any size."""
    rng = np.random.default_rng(seed)
    x: Ints = images(4, side, rng).astype(np.int64) - 128
    stem = conv_for(
        x, widths[0], rng, name="stem", weight_bits=8, in_bits=8, in_signed=True, out_bits=8
    )
    x = stem(x)
    found = []
    for stage, width in enumerate(widths):
        for index in range(blocks):
            stride = 2 if stage and index == 0 else 1
            name = f"stage{stage}.block{index}"
            entry = Requant(np.array([(1 << SHIFT) // 17]), np.array([1 << 15]), SHIFT, 4)
            narrow = entry(x)
            first = conv_for(narrow, width, rng, name=f"{name}.first", stride=stride)
            middle = first(narrow)
            second = conv_for(
                middle, width, rng, name=f"{name}.second", out_bits=10, out_signed=True
            )
            skip = None
            if stride != 1 or x.shape[-1] != width:
                skip = conv_for(
                    narrow,
                    width,
                    rng,
                    name=f"{name}.skip",
                    kernel=1,
                    stride=stride,
                    out_bits=9,
                    out_signed=True,
                )
            found.append(Block(entry, first, second, skip))
            x = found[-1](x)
    weights = rng.integers(-127, 128, (classes, widths[-1])).astype(np.int8)
    head = Head(weights, rng.integers(-2000, 2000, classes), 1 / 256)
    return Network("random", side, stem, tuple(found), head)


def plan_for(network: Network, interval: int) -> Plan:
    """A plan of the profile `small` with FIFOs that hold all that they can have to."""
    return Plan(network, fold(network, interval), generous_skip_depths(network), profile="small")


SMALL = random_network(8, (4, 8), 1, seed=3)
SMALL_PLAN = plan_for(SMALL, 640)
"""Both kinds of block; what most tests that need a whole design share, so that it is built once."""
