"""The table of attacks; a new one is a line in its family's file."""

from __future__ import annotations

from tests.attack import (
    bodies,
    calls,
    connections,
    datagrams,
    floods,
    guessing,
    handshakes,
    images,
    overload,
    parameters,
    rest,
)
from tests.attack.attack import Attack

MIX = "mix"
"""All attacks at once, but for valid overload."""

OVERLOAD = "overload"
QUIET = "quiet"

_FAMILIES = (
    *(images, connections, bodies, parameters, floods, calls, rest, datagrams),
    *(handshakes, guessing, overload),
)

ATTACKS: dict[str, Attack] = {
    attack.name: attack for family in _FAMILIES for attack in family.ATTACKS
}


def names_of(phase: str, *, secure: bool = True) -> tuple[str, ...]:
    """The attacks of a phase; without `secure` none that needs TLS or keys.

    Raises KeyError for an unknown one.
    """
    if phase == MIX:
        return tuple(
            name for name, one in ATTACKS.items() if name != OVERLOAD and (secure or not one.secure)
        )
    return (ATTACKS[phase].name,)
