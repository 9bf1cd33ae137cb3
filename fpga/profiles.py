"""The two designs that are built for the PYNQ-Z2, and what a clock makes of their cycles."""

from __future__ import annotations

from dataclasses import dataclass

from fpga.folding import fold
from fpga.generate import Plan, default_skip_depths
from fpga.network import Network
from hawkvision.errors import EngineError

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


def plan_for(network: Network, profile: str) -> Plan:
    """The design of a network. Raises EngineError for an unknown profile."""
    found = PROFILES.get(profile)
    if found is None:
        raise EngineError(f"no profile {profile!r}", hint=f"One of {', '.join(PROFILES)}.")
    return Plan(network, fold(network, found.interval), default_skip_depths(network))


def milliseconds(cycles: float) -> float:
    """At the assumed clock."""
    return cycles / CLOCK_HZ * 1e3
