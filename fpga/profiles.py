"""The two designs that are built for the PYNQ-Z2, and what a clock makes of their cycles."""

from __future__ import annotations

from dataclasses import dataclass

from fpga.blocks.arithmetic import packable
from fpga.folding import fold
from fpga.network import Network
from fpga.plan import Folding, Plan, generous_skip_depths
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
    profile.name: profile for profile in (Profile("accurate", 36_864), Profile("fast", 18_432))
}


def first_plan(network: Network, profile: str) -> Plan:
    """The design of a network with FIFOs that are deeper than it needs.

    Raises EngineError for an unknown profile, and where no folding is fast enough.
    """
    found = PROFILES.get(profile)
    if found is None:
        raise EngineError(f"no profile {profile!r}", hint=f"One of {', '.join(PROFILES)}.")
    folding = fold(network, found.interval)
    packed = packed_layers(network, folding)
    return Plan(network, folding, generous_skip_depths(network), packed, profile)


def packed_layers(network: Network, folding: Folding) -> frozenset[str]:
    """The largest layers whose products fit into the DSP blocks, two to each, within the budget."""
    layers = [conv for conv, _ in network.convolutions()]
    stem = folding[network.stem.name]
    left = DSP_BUDGET - len(layers) - stem[0] * stem[1] - folding["head"][0]
    chosen: set[str] = set()
    for conv in sorted(layers, key=lambda conv: -folding[conv.name][0] * folding[conv.name][1]):
        pe, simd = folding[conv.name]
        if packable(conv, pe) and pe * simd // 2 <= left:
            chosen.add(conv.name)
            left -= pe * simd // 2
    return frozenset(chosen)


def milliseconds(cycles: float) -> float:
    """At the assumed clock."""
    return cycles / CLOCK_HZ * 1e3
