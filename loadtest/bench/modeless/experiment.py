"""What is measured, in which order. Plain values: nothing here starts a process."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
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
BUDGETED = (HAWKVISION, SWITCHING, TRITON)
"""Those whose memory is bounded."""
LINKS_MS = (5.0, 20.0, 100.0)
BUDGETS = (2, 3, 0)
DARK_S = 10.0
DEADLINE_MS = 250.0
BETWEEN_S = 0.5
"""What a rate takes besides: connections are opened, and what was begun ends."""
COMPARED = (HAWKVISION, ONE_RUNG, SWITCHING)
"""Those whose tails are put beside each other; of the others right answers in time count."""


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

    @property
    def short(self) -> str:
        """The same for a line of progress."""
        return f"{self.ladder}, {self.link}, {self.budget or 'all'} held, {self.mix}"


@dataclass(frozen=True, slots=True)
class Block:
    """One start of one system in a scenario: its rates are measured one after another.

    `seed` says which photos come when, asking for what. It is the same for all systems and all
    repetitions: what repetitions differ by is the machine, not the traffic.
    """

    scenario: Scenario
    system: str
    repetition: int
    rates: tuple[float, ...]
    seconds: tuple[float, ...]
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
class Asked:
    """As long as `requests` take, for at least `least_s` and at most `most_s`."""

    requests: int
    least_s: float
    most_s: float

    def seconds(self, rate: float) -> float:
        """How long a rate is asked for."""
        return min(max(self.requests / rate, self.least_s), self.most_s)


@dataclass(frozen=True, slots=True)
class Profile:
    """How much is measured, in `repetitions` interleaved turns.

    `compared` is how long those are asked whose tails are compared, `others` how long the rest is.
    """

    name: str
    repetitions: int
    compared: Asked
    others: Asked
    plan: tuple[Part, ...]

    def seconds(self, rate: float, scenario: Scenario, system: str) -> float:
        """How long a rate is asked for; a link that is dark for a while needs time around it."""
        if scenario.dark_s:
            return 1.5 * scenario.dark_s
        return (self.compared if system in COMPARED else self.others).seconds(rate)


_SHARES = {"int8": (0.02, 0.1, 0.3, 0.48), "fp32": (0.02, 0.07, 0.14, 0.28)}
"""To where each system that meets the targets has enough of it."""
_FEW = 3


def profile(quick: bool, fp32: bool) -> Profile:
    """The quick profile takes some five minutes on two cores, the full one some 26."""
    ladders = ("int8", "fp32") if fp32 else ("int8",)
    if quick:
        some = (HAWKVISION, SWITCHING, TRITON, RESIDENT, REMOTE)
        first, *others = ladders
        plan = [Part(Scenario(first), SYSTEMS, (0.02, 0.1, 0.3))]
        plan += [Part(Scenario(ladder), some, (0.02, 0.1)) for ladder in others]
        return Profile("quick", 2, Asked(200, 1.5, 5.0), Asked(60, 1.0, 1.5), tuple(plan))
    plan = []
    for ladder in ladders:
        base, shares = Scenario(ladder), _SHARES[ladder]
        few = shares[:_FEW]
        plan.append(Part(base, SYSTEMS, shares))
        plan += [
            Part(replace(base, budget=held), (HAWKVISION, SWITCHING), few)
            for held in BUDGETS
            if held != base.budget
        ]
        plan += [
            Part(replace(base, link_ms=ms), ACROSS, few) for ms in LINKS_MS if ms != base.link_ms
        ]
        plan.append(Part(replace(base, dark_s=DARK_S), ACROSS, few[1:2]))
        plan.append(Part(replace(base, mix="skewed"), (HAWKVISION, SWITCHING, RESIDENT), few[1:]))
    return Profile("full", 2, Asked(350, 2.0, 7.0), Asked(100, 1.5, 2.5), tuple(plan))


def condition(system: str, scenario: Scenario) -> Scenario:
    """The scenario in which a system is measured for another one that is all the same to it."""
    base = Scenario()
    if system not in ACROSS:
        scenario = replace(scenario, link_ms=base.link_ms, dark_s=0.0)
    if system not in BUDGETED:
        scenario = replace(scenario, budget=base.budget)
    return scenario


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
            _block(profile, part, system, repetition, capacity[part.scenario.ladder], seed)
            for part in profile.plan
            for system in part.systems
            if system not in absent
        ]
        random.Random(seed + repetition).shuffle(turn)
        made += turn
    return made


def _block(
    profile: Profile, part: Part, system: str, repetition: int, capacity: float, seed: int
) -> Block:
    rates = tuple(_round(share * capacity) for share in part.shares)
    seconds = tuple(round(profile.seconds(rate, part.scenario, system), 1) for rate in rates)
    return Block(part.scenario, system, repetition, rates, seconds, seed)


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
    return sum(sum(block.seconds) + BETWEEN_S * len(block.rates) + start_s for block in made)


def as_dict(block: Block) -> dict[str, Any]:
    """For a file."""
    return asdict(block)
