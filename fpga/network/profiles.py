"""The two designs that are built for the PYNQ-Z2, and what a clock makes of their cycles."""

from __future__ import annotations

from dataclasses import dataclass

from fpga.network.folding import fold
from fpga.network.layers import Conv
from fpga.network.network import Network
from fpga.network.packing import blocks_per_column
from fpga.network.plan import Folding, Plan, generous_skip_depths
from hawkvision.errors import EngineError

DSP_BUDGET = 187
"""Of the 220 blocks of an xc7z020, 15 % are left alone."""

CLOCK_HZ = 100e6
"""Assumed: nothing here places or routes."""


@dataclass(frozen=True)
class Profile:
    """`interval`: cycles from one picture to the next that every layer is folded for."""

    name: str
    interval: int


PROFILES = {
    profile.name: profile for profile in (Profile("accurate", 36_864), Profile("fast", 23_040))
}


def first_plan(network: Network, profile: str) -> Plan:
    """The design of a network with FIFOs that are deeper than it needs.

    Raises EngineError for an unknown profile, and where no folding is fast enough.
    """
    found = PROFILES.get(profile)
    if found is None:
        raise EngineError(f"no profile {profile!r}", hint=f"One of {', '.join(PROFILES)}.")
    folding = fold(network, found.interval)
    packed = packed_channels(network, folding)
    return Plan(network, folding, generous_skip_depths(network), packed, profile)


def packed_channels(network: Network, folding: Folding) -> dict[str, int]:
    """By layer, the input channels that are multiplied in DSP blocks, within the budget.

    First where a block computes most products. The stem comes before all others: products of 8 bits
    take a block each if they are left alone. Every requantizer takes a block as well, the stem's
    wide one two.
    """
    layers = [part.conv for part in network.convolutions()]
    left = DSP_BUDGET - len(layers) - 1 - folding["head"][0]
    chosen: dict[str, int] = {}

    def gain(conv: Conv) -> tuple[bool, float, int]:
        pe, simd = folding[conv.name]
        return conv.name == network.stem.name, pe / blocks_per_column(conv, pe), pe * simd

    for conv in sorted(layers, key=gain, reverse=True):
        pe, simd = folding[conv.name]
        each = blocks_per_column(conv, pe)
        channels = min(simd, left // each)
        if channels > 0 and pe > 1:
            chosen[conv.name] = channels
            left -= channels * each
    return chosen


def milliseconds(cycles: float) -> float:
    """At the assumed clock."""
    return cycles / CLOCK_HZ * 1e3
