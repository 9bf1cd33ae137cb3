"""Waiting, by simulation of the costs over Poisson arrivals: from agent to gateway and back.

Station after station, each of which sees all of its arrivals in the order of their times: the
agent's workers (one a core, requests fall to any; each is an event loop, which works in rounds
where the first rung is quick, see `serving.pool`), the way up (bytes one after the other), the
gateway (one queue for all its cores). What other agents send to the gateway is one more Poisson
stream: many streams together come near to one (Palm and Khintchine; Cox and Smith 1954).
No clock; chance comes from a seed, so the same question has the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.planning.asked import Asked
from hawkvision.planning.costs import EdgeCosts, GatewayCosts, Step
from hawkvision.planning.demand import REPLY_BYTES, REQUEST_BYTES
from hawkvision.planning.queues import Rounds, Served, serve, serve_rounds
from hawkvision.planning.traffic import Chain, Target
from hawkvision.serving.pace import MOST_S
from hawkvision.serving.pool import ROUND_S

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

REQUESTS = 60_000
_WARM_UP = 0.1
"""Of the requests, the first, which find everything empty, are left out."""

_MOST_CALLS = 250_000
_LEAST = 2_000


@dataclass(frozen=True)
class Outcomes:
    """By request [N]: its target's place, how long the answer took, ms; whether it was escalated,
    and whether it would have come after the deadline (then the edge's answer went out, or none).

    `edge_cpu_ms` and `gateway_cpu_ms` are processor time of a request on average.
    """

    target: npt.NDArray[np.intp]
    ms: Floats
    escalated: Flags
    late: Flags
    edge_cpu_ms: float
    gateway_cpu_ms: float


@dataclass(frozen=True)
class Model:
    """What is simulated: the question, the traffic, and the costs."""

    asked: Asked
    targets: Sequence[Target]
    chain: Chain
    edge: EdgeCosts
    gateway: GatewayCosts


@dataclass(frozen=True)
class _Requests:
    """What comes, by request [N]: `images` are places among the calibration's.

    `chained` ones go on to the rungs above the first, `up` ones over the link; `escalated` are
    those among them that somebody waits for. `chances` [5, N] are uniform.
    """

    arrivals: Floats
    images: npt.NDArray[np.intp]
    target: npt.NDArray[np.intp]
    chained: Flags
    up: Flags
    escalated: Flags
    doubtful: Flags
    workers: npt.NDArray[np.intp]
    chances: Floats


def simulate(model: Model, requests: int = REQUESTS, seed: int = 1) -> Outcomes:
    """Of one agent among its equals. Times are from the arrival at the agent, ms."""
    asked, rng = model.asked, np.random.default_rng(seed)
    count = max(_LEAST, min(requests, _MOST_CALLS // asked.agents))
    came = _draw(model, count, rng)
    first = _Work.of(came.chances[0], [(model.edge.first, np.ones(count, bool))])
    rows = zip(model.edge.rungs, model.chain.here, strict=False)
    more = _Work.of(
        came.chances[0], [(step, came.chained & row[came.images]) for step, row in rows]
    )
    sending = _Work.of(came.chances[1], [(model.edge.escalate, came.up)])
    at_edge = _at_edge(came, first, more.and_then(sending))
    waited = at_edge.wait > 0
    sure = at_edge.wait + first.lasts(waited) + at_edge.held
    chained = sure + at_edge.until_after + more.lasts(waited)
    total = np.where(came.doubtful, chained, sure)
    calls = np.flatnonzero(came.up)
    send_ms = sending.lasts(waited)[calls]
    back, gateway_ms = _over_link(model, came, calls, chained[calls] + send_ms / 2, rng)
    back += send_ms / 2 + _in_the_way(came, at_edge, calls)
    total[calls] = np.where(came.escalated[calls], back, total[calls])
    kept = slice(int(count * _WARM_UP), None)
    return Outcomes(
        came.target[kept],
        np.minimum(total, asked.deadline_ms)[kept],
        came.escalated[kept],
        (total > asked.deadline_ms)[kept],
        float(at_edge.busy.mean()),
        gateway_ms / count,
    )


def _draw(model: Model, count: int, rng: np.random.Generator) -> _Requests:
    asked, chain = model.asked, model.chain
    arrivals = np.cumsum(rng.exponential(size=count)) * 1e3 / asked.rate
    images = rng.integers(0, len(chain.up), count)
    sums = np.cumsum([one.share for one in model.targets])
    target = np.minimum(np.searchsorted(sums, rng.random(count), "right"), len(sums) - 1)
    doubtful = np.stack([one.doubtful for one in model.targets])[target, images]
    chained = doubtful | (rng.random(count) < asked.audit_share)
    up = chained & chain.up[images]
    return _Requests(
        arrivals,
        images,
        target,
        chained,
        up,
        up & doubtful,
        doubtful,
        rng.integers(0, asked.edge_cores, count),
        rng.random((5, count)),
    )


@dataclass(frozen=True)
class _Work:
    """By request [N]: how long it lasts without a queue, and how long it keeps a processor.

    `warm` is the latter where it follows another one at once.
    """

    ms: Floats
    busy: Floats
    warm: Floats

    @classmethod
    def of(cls, chance: Floats, steps: Iterable[tuple[Step, Flags]]) -> _Work:
        """The sum of steps, each for those that take it; a slow request is slow in all of them."""
        ms, busy, warm = (np.zeros_like(chance) for _ in range(3))
        for step, taken in steps:
            lasted = step.last(chance)
            kept = np.where(taken, step.busy(lasted), 0.0)
            ms += np.where(taken, lasted, 0.0)
            busy += kept
            warm += kept * step.warm
        return cls(ms, busy, warm)

    def and_then(self, other: _Work) -> _Work:
        """Both."""
        return _Work(self.ms + other.ms, self.busy + other.busy, self.warm + other.warm)

    def lasts(self, waited: Flags) -> Floats:
        """How long, where those that `waited` save processor time; the rest of the time stays."""
        saved = np.minimum(self.busy - self.warm, self.ms)
        return self.ms - np.where(waited, saved, 0.0)

    @property
    def share(self) -> Floats:
        """The part of `busy` that is left of who waited."""
        return np.divide(self.warm, self.busy, out=np.ones_like(self.busy), where=self.busy > 0)


def _at_edge(came: _Requests, first: _Work, after: _Work) -> Rounds:
    """Each worker has a queue of its own; `after` is what follows the first rung's part."""
    most = ROUND_S * 1e3 if first.busy.mean() <= MOST_S * 1e3 else 0.0
    share = first.and_then(after).share
    wait, busy, held, until_after = (np.zeros_like(share) for _ in range(4))
    lasts = []
    for worker in range(int(came.workers.max()) + 1):
        mine = came.workers == worker
        arrivals, works = came.arrivals[mine], (first.busy[mine], after.busy[mine])
        one = serve_rounds(arrivals, *works, most, share[mine])
        wait[mine], busy[mine], held[mine], until_after[mine] = one[:4]
        lasts.append(one.lasts)
    return Rounds(wait, busy, held, until_after, np.concatenate(lasts))


def _over_link(
    model: Model, came: _Requests, calls: Places, left: Floats, rng: np.random.Generator
) -> tuple[Floats, float]:
    """When replies are back, ms after the request's arrival; the gateway's processor time, ms.

    `left` is when the images of `calls` leave the agent, ms after the request's arrival.
    """
    link, images = model.asked.link, came.images[calls]
    sent = came.arrivals[calls] + left
    order = np.argsort(sent, kind="stable")
    up_ms = link.up_ms(1.0) * (model.chain.image_bytes[images] + REQUEST_BYTES)
    arrived = np.empty_like(sent)
    arrived[order] = sent[order] + serve(sent[order], up_ms[order]).wait
    arrived += up_ms + link.rtt_ms / 2
    work = _gateway_work(model, came.chances[2][calls], images)
    served = _at_gateway(model, arrived, work, rng)
    lasted = served.wait + work.lasts(served.wait > 0)
    reply_ms = link.rtt_ms / 2 + link.down_ms(REPLY_BYTES)
    return arrived + lasted + reply_ms - came.arrivals[calls], float(served.busy.sum())


def _gateway_work(model: Model, chance: Floats, images: Places) -> _Work:
    rows = zip(model.gateway.rungs, model.chain.there, strict=True)
    steps = [(step, row[images]) for step, row in rows]
    return _Work.of(chance, [(model.gateway.call, np.ones(len(images), bool)), *steps])


def _at_gateway(model: Model, arrived: Floats, mine: _Work, rng: np.random.Generator) -> Served:
    """Our calls, among those of the other agents, in one queue."""
    count = len(arrived)
    places = np.arange(count)
    if count and model.asked.agents > 1:
        others = count * (model.asked.agents - 1)
        last = float(arrived.max())
        arrived = np.concatenate([arrived, rng.uniform(0.0, last, others)])
        places = np.concatenate([places, rng.integers(0, count, others)])
    order = np.argsort(arrived, kind="stable")
    busy, share = mine.busy[places[order]], mine.share[places[order]]
    found = serve(arrived[order], busy, model.asked.gateway_cores, share)
    wait, kept = np.empty_like(arrived), np.empty_like(arrived)
    wait[order], kept[order] = found
    return Served(wait[:count], kept[:count])


def _in_the_way(came: _Requests, at_edge: Rounds, calls: Places) -> Floats:
    """What a reply waits for at the agent: the rest of the round at work, not for the queue.

    The event loop takes replies between rounds. A worker is busy for a share of the time, and then
    with any round, in proportion to how long that takes.
    """
    if not len(calls):
        return np.zeros(0)
    workers = int(came.workers.max()) + 1
    total = float(at_edge.lasts.sum())
    share = min(1.0, total / (float(came.arrivals[-1]) * workers))
    sums = np.cumsum(at_edge.lasts) / max(total, 1e-300)
    which = np.searchsorted(sums, came.chances[4][calls])
    rest = at_edge.lasts[np.minimum(which, len(sums) - 1)] * came.chances[1][calls]
    return np.where(came.chances[3][calls] < share, rest, 0.0)
