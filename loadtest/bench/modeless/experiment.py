"""What is measured, in which order. Plain values: nothing here starts a process."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

HAWKVISION = "hawkvision"
ONE_RUNG = "hawkvision one rung"
SWITCHING = "model switching"
TRITON = "triton switching"
RESIDENT = "all resident"
SMALL = "single small"
LARGE = "single large"
REMOTE = "data center only"
ENSEMBLE = "ensemble"
SYSTEMS = (HAWKVISION, ONE_RUNG, SWITCHING, TRITON, RESIDENT, SMALL, LARGE, REMOTE, ENSEMBLE)
ACROSS = (HAWKVISION, ONE_RUNG, REMOTE)
"""Those that use the link."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything but the system and the rate.

    `link_ms` is the round trip; a link that drops is dark for `dark_s` seconds in the middle of a
    measurement. `budget` is how many of the ladder's largest variants fit the edge's memory, 0 all.
    """

    ladder: str = "int8"
    link_ms: float = 20.0
    dark_s: float = 0.0
    budget: int = 2
    mix: str = "uniform"

    @property
    def link(self) -> str:
        """The link in a word."""
        return "drops" if self.dark_s else f"{self.link_ms:g} ms"

    @property
    def name(self) -> str:
        """One line for people."""
        held = f"room for {self.budget}" if self.budget else "room for all"
        return f"{self.ladder}, link {self.link}, {held}, {self.mix} targets"


@dataclass(frozen=True, slots=True)
class Block:
    """One start of one system in a scenario: its rates are measured one after another."""

    scenario: Scenario
    system: str
    repetition: int
    rates: tuple[float, ...]
    seconds: float
    seed: int

    @property
    def key(self) -> str:
        """The same for the same measurement in every run."""
        return repr(sorted(asdict(self).items()))


@dataclass(frozen=True, slots=True)
class Part:
    """A scenario with its systems; `shares` give the rates, as parts of what a small model does."""

    scenario: Scenario
    systems: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """How much is measured: `seconds` at each rate, in `repetitions` interleaved turns."""

    name: str
    seconds: float
    repetitions: int
    plan: tuple[Part, ...]


def profile(quick: bool, fp32: bool) -> Profile:
    """The quick profile takes some five minutes on two cores, the full one some thirty."""
    base, floats = Scenario(), Scenario("fp32")
    if quick:
        few = (HAWKVISION, SWITCHING, TRITON, RESIDENT, REMOTE)
        shares = (0.02, 0.1, 0.3)
        plan = [Part(base, SYSTEMS, shares)] + ([Part(floats, few, shares[:2])] if fp32 else [])
        return Profile("quick", 2.5, 2, tuple(plan))
    three = (0.02, 0.1, 0.4)
    plan = [Part(base, SYSTEMS, (0.02, 0.06, 0.15, 0.3, 0.6))]
    if fp32:
        plan.append(Part(floats, SYSTEMS, three))
    plan += [Part(Scenario(budget=held), (HAWKVISION, SWITCHING), three) for held in (3, 0)]
    plan += [Part(Scenario(link_ms=ms), ACROSS, three) for ms in (5.0, 100.0)]
    plan += [Part(Scenario(dark_s=10.0), ACROSS, three[1:2])]
    without = tuple(system for system in SYSTEMS if system != TRITON)
    plan += [Part(Scenario(mix="skewed"), without, three[1:])]
    return Profile("full", 3.0, 3, tuple(plan))


def blocks(
    profile: Profile, capacity: dict[str, float], seed: int, absent: Collection[str] = ()
) -> list[Block]:
    """All blocks: each repetition once through everything, in an order of its own.

    `capacity` is what a single small model answers per second, by ladder; systems that are
    `absent` are left out.
    """
    made: list[Block] = []
    for repetition in range(profile.repetitions):
        turn = [
            Block(
                part.scenario,
                system,
                repetition,
                tuple(_round(share * capacity[part.scenario.ladder]) for share in part.shares),
                _seconds(profile, part.scenario),
                seed + repetition,
            )
            for part in profile.plan
            for system in part.systems
            if system not in absent
        ]
        random.Random(seed + repetition).shuffle(turn)
        made += turn
    return made


def _seconds(profile: Profile, scenario: Scenario) -> float:
    """A link that is dark for a while needs time around it."""
    return profile.seconds if not scenario.dark_s else 1.5 * scenario.dark_s


def _round(rate: float) -> float:
    """Two digits."""
    return float(f"{rate:.2g}")


def weights(mix: str, targets: Sequence[float]) -> list[tuple[float, float]]:
    """Targets with their weights: all alike, or doubling from each to the next higher one."""
    if mix == "uniform":
        return [(target, 1.0) for target in targets]
    return [(target, 2.0**place) for place, target in enumerate(sorted(targets))]


def budget_mb(memory: Sequence[float], held: int) -> float:
    """MB that the `held` largest variants take, all for 0; a megabyte more for rounding."""
    largest = sorted(memory, reverse=True)
    return sum(largest[: held or len(largest)]) + 1.0


def planned_seconds(made: Sequence[Block], start_s: float) -> float:
    """About how long the blocks take."""
    return sum(len(block.rates) * (block.seconds + 0.5) + start_s for block in made)


def as_dict(block: Block) -> dict[str, Any]:
    """For a file."""
    return asdict(block)
