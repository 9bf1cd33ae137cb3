"""The table of attacks; a new one is a line in its family's file."""

from __future__ import annotations

from tests.attack import (
    bodies,
    calls,
    connections,
    datagrams,
    images,
    overload,
    parameters,
)
from tests.attack.attack import Attack

MIX = "mix"
"""All attacks at once, but for valid overload."""

OVERLOAD = "overload"
QUIET = "quiet"

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for family in (images, connections, bodies, parameters, calls, datagrams, overload)
    for attack in family.ATTACKS
}


def names_of(phase: str) -> tuple[str, ...]:
    """The attacks of a phase. Raises KeyError for an unknown one."""
    if phase == MIX:
        return tuple(name for name in ATTACKS if name != OVERLOAD)
    return (ATTACKS[phase].name,)
