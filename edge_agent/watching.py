"""What an agent's parts show when its metrics are scraped, and how they follow a new version."""

from __future__ import annotations

from typing import Protocol

from edge_agent.classify import Classifier
from edge_agent.dashboard.dashboard import Dashboard
from edge_agent.fleet.fleet import Fleet
from edge_agent.fleet.jobs import Jobs
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from edge_agent.streams.registry import StreamRegistry
from edge_agent.upstream import GrpcUpstream
from hawkvision.engines import Measuring
from hawkvision.power import PowerSampler
from hawkvision.serving import memory
from hawkvision.serving.access.guard import Guard
from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.connections import Book
from hawkvision.serving.http.metrics import PortCollector
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.power_metrics import PowerCollector
from hawkvision.serving.reloading import Reloader
from hawkvision.serving.upstreams.metrics import UpstreamCollector
from hawkvision.serving.version_metrics import VersionCollector


class Parts(Protocol):
    """What an agent is made of, as far as it is shown or follows versions."""

    tasks: dict[str, LocalTask]
    versions: Reloader[LocalTask]
    classifier: Classifier
    fleet: Fleet
    metrics: AgentMetrics
    pool: WorkerPool
    upstream: GrpcUpstream
    streams: StreamRegistry
    bodies: BodyReader
    connections: Book
    power: PowerSampler
    guard: Guard
    jobs: Jobs
    dashboard: Dashboard | None


def watch(agent: Parts, *, whole_machine: bool) -> None:
    """Let the agent's registry read its parts; of `whole_machine` one worker alone tells."""
    if whole_machine:
        agent.metrics.registry.register(PowerCollector(agent.power))
    agent.metrics.registry.register(UpstreamCollector(agent.upstream.client))
    counts = agent.metrics.watch_counts
    totals = agent.streams.totals
    counts(
        "hawkvision_stream_frames",
        "Frames of lossy streams by what became of them, or the error's code.",
        "outcome",
        lambda: totals.frames,
    )
    counts(
        "hawkvision_stream_packets",
        "Packets of lossy streams by what became of them.",
        "what",
        agent.streams.packets,
    )
    counts(
        "hawkvision_stream_advice",
        "Reasons for advice in lossy streams (packets or frames), by its code.",
        "code",
        lambda: totals.advice,
    )
    counts("hawkvision_streams_ended", "Lossy streams ended.", "reason", lambda: totals.ended)
    agent.metrics.registry.register(PortCollector(agent.connections, agent.bodies))
    agent.metrics.registry.register(VersionCollector(agent.versions))
    for name, local in agent.tasks.items():
        show(agent.metrics, name, local)
    for name, text, read in (
        ("streams", "Lossy streams open.", lambda: agent.streams.open_streams),
        (
            "stream_datagrams_unknown",
            "Datagrams that belong to no lossy stream.",
            lambda: agent.streams.unknown,
        ),
        ("queue_images", "Images waiting or at work.", lambda: agent.pool.pending),
        (
            "gateway_breaker_open",
            "1 while escalations are held back.",
            lambda: agent.upstream.held_back,
        ),
    ):
        agent.metrics.watch(f"hawkvision_{name}", text, read)


def prepare(agent: Parts, local: LocalTask) -> None:
    """A version is going to serve; called on the thread that loaded it."""
    agent.streams.prepare(local)


def follow(agent: Parts, name: str, old: LocalTask | None, new: LocalTask | None) -> None:
    """A version of a task serves in place of another, or of none: what knows of versions follows.

    To be called within the turn of the event loop in which it takes over.
    """
    if old is not None:
        agent.fleet.retires(old)
        agent.classifier.retires(old)
        agent.metrics.retires(name)
    if new is not None:
        agent.fleet.serves(new)
        show(agent.metrics, name, new)
    agent.streams.follow(name, new)


def keep_watch(agent: Parts) -> None:
    """Begin what looks at the agent beside its requests."""
    agent.guard.watch(agent.jobs)
    agent.jobs.repeat("memory", memory.GivesBack().look, memory.EVERY_S)
    if agent.dashboard is not None:
        agent.jobs.keep("dashboard", agent.dashboard.run)


def show(metrics: AgentMetrics, name: str, local: LocalTask) -> None:
    """By what a task's version is computed, and what its engine's hardware counts."""
    for rung in local.rungs:
        metrics.running(name, rung)
    if isinstance(local.engine, Measuring):
        metrics.watch_engine(name, local.engine)
