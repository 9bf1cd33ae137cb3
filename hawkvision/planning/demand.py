"""What a request asks of each resource on average, and what follows by the utilisation law.

A resource that each request keeps busy for D on average is busy a share rate · D of the time
(Denning and Buzen, 1978), however the requests come; it carries less than 1 / D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hawkvision.planning.asked import Asked
from hawkvision.planning.costs import EdgeCosts, GatewayCosts
from hawkvision.planning.traffic import Chain, Target

REQUEST_BYTES = 250.0
"""Around an image that goes up: the message's other fields and HTTP/2's frames (docs/plan.md)."""

REPLY_BYTES = 300.0
"""Of a reply that comes down."""

EDGE, LINK, GATEWAY, LOOP = "edge CPU", "link up", "gateway CPU", "gateway event loop"


@dataclass(frozen=True, slots=True)
class Demand:
    """Of a request on average.

    `escalated` is the share of requests that the data center answers, `up` the share whose image
    goes over the link, audits too. `edge_ms` and `gateway_ms` are processor time where each piece
    of work follows another at once: the least that it takes.
    """

    escalated: float
    up: float
    up_bytes: float
    edge_ms: float
    gateway_ms: float


@dataclass(frozen=True, slots=True)
class Resource:
    """`used` of `there` (cores, Mbit/s), and the rate at each agent that would use all of it."""

    name: str
    used: float
    there: float
    saturates_at: float

    @property
    def utilisation(self) -> float:
        """The share in use; above 1 it cannot be."""
        return self.used / self.there


def demand(
    asked: Asked, targets: Sequence[Target], chain: Chain, edge: EdgeCosts, gateway: GatewayCosts
) -> Demand:
    """By the calibration images, each as likely as any other."""
    doubtful = np.zeros(chain.up.shape, np.float64)
    for target in targets:
        doubtful += target.share * target.doubtful
    chained = doubtful + asked.audit_share * (1 - doubtful)
    up = chained * chain.up
    share = float(up.mean())
    edge_ms = edge.first.warm_cpu_ms + share * edge.escalate.warm_cpu_ms
    for step, reached in zip(edge.rungs, chain.here, strict=False):
        edge_ms += step.warm_cpu_ms * float((chained * reached).mean())
    gateway_ms = share * gateway.call.warm_cpu_ms
    for step, reached in zip(gateway.rungs, chain.there, strict=True):
        gateway_ms += step.warm_cpu_ms * float((chained * reached).mean())
    return Demand(
        escalated=float((doubtful * chain.up).mean()),
        up=share,
        up_bytes=float((up * (chain.image_bytes + REQUEST_BYTES)).mean()),
        edge_ms=edge_ms,
        gateway_ms=gateway_ms,
    )


def resources(
    asked: Asked, found: Demand, edge: EdgeCosts, gateway: GatewayCosts
) -> list[Resource]:
    """What the rate takes of each, and where each ends. The gateway's serve all agents."""
    calls = asked.agents * found.up
    each = [
        _cpu(EDGE, asked.rate, found.edge_ms, asked.edge_cores, edge.idle_cores),
        _resource(LINK, asked.rate, found.up_bytes * 8 / 1e6, asked.link.mbit, 0.0),
        _cpu(
            GATEWAY,
            asked.rate,
            asked.agents * found.gateway_ms,
            asked.gateway_cores,
            gateway.idle_cores,
        ),
    ]
    if asked.gateway_cores > 1:
        each.append(_cpu(LOOP, asked.rate, calls * gateway.loop_ms, 1, gateway.idle_cores))
    return each


def _cpu(name: str, rate: float, request_ms: float, cores: int, idle: float) -> Resource:
    return _resource(name, rate, request_ms / 1e3, float(cores), idle)


def _resource(name: str, rate: float, request: float, there: float, idle: float) -> Resource:
    ends = math.inf if request == 0 else max(0.0, there - idle) / request
    return Resource(name, rate * request + idle, there, ends)


def first_to_saturate(found: Sequence[Resource]) -> Resource:
    """The one that bounds the rate."""
    return min(found, key=lambda one: one.saturates_at)
