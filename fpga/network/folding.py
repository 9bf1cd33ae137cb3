"""How much of each layer is computed at once: PE output channels by SIMD input channels.

Illegal foldings cannot be made: PE divides Cout, SIMD divides Cin, and the serial requantizer,
which sends one channel a cycle, is never slower than the multipliers.
"""

from __future__ import annotations

from collections.abc import Iterator

from fpga.network.layers import Conv
from fpga.network.network import Network
from fpga.network.packing import blocks_per_column
from fpga.network.plan import Folding, Plan
from hawkvision.errors import EngineError

_BLOCK_LUTS, _LANE_LUTS = 100, 45
"""Look-up tables that a DSP block saves elsewhere, and that a lane takes: its accumulator and its
place before the requantizer. Of equal numbers of multipliers the cheaper is built."""


def legal(conv: Conv) -> Iterator[tuple[int, int]]:
    """Every (PE, SIMD) that can be built, by the number of multipliers."""
    pairs = [
        (pe, simd)
        for pe in _divisors(conv.out_channels)
        for simd in _divisors(conv.in_channels)
        if pe <= conv.kernel**2 * conv.in_channels // simd
    ]

    def price(pair: tuple[int, int]) -> tuple[int, int]:
        pe, simd = pair
        return pe * simd, _BLOCK_LUTS * blocks_per_column(conv, pe) * simd + _LANE_LUTS * pe

    return iter(sorted(pairs, key=price))


def _divisors(number: int) -> list[int]:
    return [value for value in range(1, number + 1) if number % value == 0]


def cycles(conv: Conv, side: int, pe: int, simd: int) -> int:
    """Cycles for a picture, at least one for each value that leaves."""
    pixels = conv.out_side(side) ** 2
    folds = (conv.out_channels // pe) * conv.kernel**2 * (conv.in_channels // simd)
    return pixels * max(folds, conv.out_channels)


def slowest_layer(plan: Plan) -> int:
    """Cycles for a picture of the layer that takes most."""
    layers = plan.network.convolutions()
    return max(cycles(part.conv, part.side, *plan.folding[part.name]) for part in layers)


def fold(network: Network, interval: int) -> Folding:
    """The smallest folding with at most `interval` cycles for a picture in every layer.

    Raises EngineError where no folding is fast enough.
    """
    found: dict[str, tuple[int, int]] = {}
    for part in network.convolutions():
        fast = (
            pair for pair in legal(part.conv) if cycles(part.conv, part.side, *pair) <= interval
        )
        choice = next(fast, None)
        if choice is None:
            raise EngineError(f"{part.name} cannot take a picture in {interval} cycles")
        found[part.name] = choice
    classes = network.classes
    width = len(network.head.weights[0])
    lanes = next(
        (pe for pe in _divisors(classes) if width * classes // pe <= max(64, interval // 64)),
        classes,
    )
    return {**found, "head": (lanes, 1)}
