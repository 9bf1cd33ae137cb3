"""All routes of an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from edge_agent.classify import Classifier
from edge_agent.config import EdgeConfig
from edge_agent.dashboard.dashboard import Dashboard
from edge_agent.fleet.fleet import Fleet
from edge_agent.http.classify import ClassifyRoutes
from edge_agent.http.dashboard import DashboardRoutes
from edge_agent.http.delivered import AccuracyRoutes
from edge_agent.http.gateways import GatewayRoutes
from edge_agent.http.openapi import Description
from edge_agent.http.power import PowerRoutes
from edge_agent.http.tasks import TaskRoutes
from edge_agent.metrics import AgentMetrics
from edge_agent.upstream import GrpcUpstream
from hawkvision.power import PowerSampler
from hawkvision.serving.access.guard import Guard
from hawkvision.serving.grpc.inference import InferenceService
from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.inference import InferenceRoutes
from hawkvision.serving.http.repository import RepositoryRoutes
from hawkvision.serving.http.routes import Entrance, Route
from hawkvision.serving.http.server import ServerRoutes


class Parts(Protocol):
    """What an agent is made of, as far as routes ask it."""

    config: EdgeConfig
    classifier: Classifier
    fleet: Fleet
    metrics: AgentMetrics
    upstream: GrpcUpstream
    bodies: BodyReader
    guard: Guard
    entrance: Entrance
    service: InferenceService
    power: PowerSampler
    dashboard: Dashboard | None


def routes_of(
    agent: Parts, scrape: Callable[[], Awaitable[bytes]], streams: Sequence[Route]
) -> list[Route]:
    """`scrape` gives the metrics; the description of all routes is the last one."""
    dashboard = agent.dashboard
    description = Description(keys=agent.guard.on)
    table = [
        *([] if dashboard is None else DashboardRoutes(dashboard, agent.entrance).table()),
        *ClassifyRoutes(agent.classifier, agent.bodies, agent.metrics).table(),
        *TaskRoutes(agent.classifier, agent.config.delta).table(),
        *ServerRoutes(agent.service, scrape, front=dashboard is None).table(),
        *InferenceRoutes(agent.service, agent.bodies).table(),
        *RepositoryRoutes(agent.service, agent.bodies).table(),
        *AccuracyRoutes(agent.classifier, agent.fleet, agent.bodies, agent.guard.ring).table(),
        *PowerRoutes(agent.power).table(),
        *GatewayRoutes(agent.upstream).table(),
        *streams,
        description.route(),
    ]
    description.of(table)
    return table
