"""What is planned for: the traffic, the link, the processors; read from text. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from hawkvision.cascade.accuracy import Accuracy, parse_accuracy
from hawkvision.errors import InvalidRequest

MOST_TARGETS = 64
_RELATIVE = "relative"


@dataclass(frozen=True, slots=True)
class Weighted:
    """An accuracy target and the share of the requests that ask for it."""

    accuracy: Accuracy
    share: float


@dataclass(frozen=True, slots=True)
class Link:
    """Round trip, ms; what goes up and down, Mbit/s."""

    rtt_ms: float
    mbit: float
    down_mbit: float

    def up_ms(self, size: float) -> float:
        """How long so many bytes keep the way up busy."""
        return size * 8 / self.mbit / 1e3

    def down_ms(self, size: float) -> float:
        """How long so many bytes keep the way down busy."""
        return size * 8 / self.down_mbit / 1e3


LINKS = {
    "lan": Link(1.0, 1000.0, 1000.0),
    "wifi": Link(5.0, 50.0, 50.0),
    "5g": Link(20.0, 50.0, 200.0),
    "lte": Link(50.0, 20.0, 60.0),
    "dsl": Link(30.0, 10.0, 50.0),
    "satellite": Link(600.0, 5.0, 50.0),
}
"""Names for a first look; they are assumptions, a link of one's own is measured."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A plan's question; see docs/plan.md.

    `rate` is images a second at each of `agents` agents, which share one gateway. `memory_mb` None
    is no bound, `rungs` None the choice of `--rungs auto`. Raises InvalidRequest for what is no
    rate, deadline or share.
    """

    rate: float
    mix: tuple[Weighted, ...]
    link: Link
    edge_cores: int = 1
    gateway_cores: int = 1
    agents: int = 1
    memory_mb: float | None = None
    deadline_ms: float = 1000.0
    rungs: int | None = None
    audit_share: float = 0.03
    delta: float = 0.05

    def __post_init__(self) -> None:
        for name, value, most in (
            ("rate", self.rate, 1e6),
            ("deadline", self.deadline_ms, 3.6e6),
            ("delta", self.delta, 0.5),
        ):
            if not 0 < value <= most:
                raise InvalidRequest(f"a {name} of {value:g} cannot be planned for")
        if not 0 <= self.audit_share <= 0.5:
            raise InvalidRequest(f"an audit share of {self.audit_share:g} cannot be planned for")


def parse_mix(text: str) -> tuple[Weighted, ...]:
    """Targets with weights, `0.80:1,0.90:2,relative:0.02:1`; without a weight it is 1.

    Shares add up to 1; a target that stands twice has the sum. Raises InvalidRequest.
    """
    weights: dict[Accuracy, float] = {}
    for part in text.split(","):
        words = part.strip().split(":")
        named = 2 if words[0] == _RELATIVE else 1
        accuracy = parse_accuracy(":".join(words[:named]))
        if len(words) > named + 1:
            raise _no_mix(part)
        weight = _number(words[named]) if len(words) > named else 1.0
        if not 0 < weight <= 1e9:
            raise _no_mix(part)
        weights[accuracy] = weights.get(accuracy, 0.0) + weight
    if len(weights) > MOST_TARGETS:
        raise InvalidRequest(f"{len(weights)} targets; a plan takes {MOST_TARGETS}")
    total = sum(weights.values())
    return tuple(Weighted(accuracy, weight / total) for accuracy, weight in weights.items())


def _no_mix(part: str) -> InvalidRequest:
    return InvalidRequest(
        f"targets: {part.strip()[:40]!r} is no target with a weight above 0",
        hint="For example 0.80:1,0.90:2 or 0.80,0.90.",
    )


def parse_link(text: str) -> Link:
    """A name of `LINKS`, or `rtt_ms=20,mbit=20[,down_mbit=50]`, or a name and what differs.

    Raises InvalidRequest.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals and key in LINKS and not found:
            named = LINKS[key]
            found = {one.name: getattr(named, one.name) for one in fields(Link)}
            continue
        number = _number(value)
        lowest = 0.0 if key == "rtt_ms" else 1e-3
        if key not in ("rtt_ms", "mbit", "down_mbit") or not lowest <= number <= 1e6:
            raise _no_link(part)
        found[key] = number
    if not {"rtt_ms", "mbit"} <= found.keys():
        raise _no_link(text)
    return Link(found["rtt_ms"], found["mbit"], found.get("down_mbit", found["mbit"]))


def _no_link(text: str) -> InvalidRequest:
    return InvalidRequest(
        f"link: {text.strip()[:40]!r} is none",
        hint=f"Give rtt_ms=20,mbit=20 (and down_mbit=), or one of {', '.join(LINKS)}.",
    )


def _number(text: str) -> float:
    """NaN for what is none: no comparison holds."""
    try:
        return float(text)
    except ValueError:
        return math.nan
