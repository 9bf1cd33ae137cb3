"""Everything that a simulated fleet is made of. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from loadtest.bench.fleet_sim.store import Server


@dataclass(frozen=True, slots=True)
class GatewayCosts:
    """Of one call: `front_s` on the event loop, which is one; then on one of `threads` `prepare_s`
    for the image, and `setup_s` + n `each_s` for a batch of n, on `slots` at a time.

    `spread` is the standard deviation of the logarithm of what a batch takes.
    """

    threads: int = 2
    batching: bool = False
    slots: int = 2
    front_s: float = 0.00058
    prepare_s: float = 0.00011
    setup_s: float = 0.0
    each_s: float = 0.00033
    spread: float = 0.05
    max_queue: int = 64
    max_batch: int = 32

    @property
    def alone_s(self) -> float:
        """What a thread has to do for a call by itself."""
        return self.prepare_s + self.setup_s + self.each_s


@dataclass(frozen=True, slots=True)
class Phase:
    """So long, the share `drifted` of the images are drifted ones."""

    seconds: float
    drifted: float


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """As `edge_agent.config` has them, with its defaults; `edge_s` is what the edge's part takes,
    `link_s` the way to a gateway and back, `store_s` that to the store; each is scraped every
    `scrape_s`, or never (0)."""

    edge_s: float = 0.001
    link_s: float = 0.02
    store_s: float = 0.001
    deadline_s: float = 1.0
    aside_s: float = 2.0
    max_escalations: int = 128
    audit_share: float = 0.03
    every_s: float = 0.5
    scrape_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Simulation:
    """`agents` are asked `rate` times a second each; each knows `known` of the `gateways`.

    `outage` is (begin, end) of the Redis being out, in seconds from the start. All that is
    drawn is drawn from `seed`.
    """

    task: str
    agents: int
    rate: float
    targets: tuple[float, ...]
    gateways: int
    known: int
    phases: tuple[Phase, ...]
    server: Server
    drift: float = 0.2
    outage: tuple[float, float] | None = None
    costs: GatewayCosts = field(default_factory=GatewayCosts)
    agent: AgentSettings = field(default_factory=AgentSettings)
    seed: int = 11

    @property
    def seconds(self) -> float:
        """All phases together."""
        return sum(phase.seconds for phase in self.phases)

    def drifted(self, time_s: float) -> float:
        """The share of drifted images at a time."""
        for phase in self.phases:
            if time_s < phase.seconds:
                return phase.drifted
            time_s -= phase.seconds
        return self.phases[-1].drifted
