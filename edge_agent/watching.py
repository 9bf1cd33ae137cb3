"""What an agent's parts show when its metrics are scraped; read then, and not before."""

from __future__ import annotations

from typing import Protocol

from edge_agent.http.bodies import BodyReader
from edge_agent.http.connections import Book
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from edge_agent.streams.registry import StreamRegistry
from edge_agent.upstream import GrpcUpstream
from hawkvision.engines import Measuring
from hawkvision.power import PowerSampler
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.power_metrics import PowerCollector


class Parts(Protocol):
    """What an agent is made of, as far as it is shown."""

    tasks: dict[str, LocalTask]
    metrics: AgentMetrics
    pool: WorkerPool
    upstream: GrpcUpstream
    streams: StreamRegistry
    bodies: BodyReader
    connections: Book
    power: PowerSampler


def watch(agent: Parts, *, whole_machine: bool) -> None:
    """Let the agent's registry read its parts; of `whole_machine` one worker alone tells."""
    if whole_machine:
        agent.metrics.registry.register(PowerCollector(agent.power))
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
    counts(
        "hawkvision_connections_refused",
        "HTTP connections refused: no room in total, for a peer, or no descriptor.",
        "reason",
        lambda: agent.connections.refused,
    )
    counts(
        "hawkvision_connections_ended",
        "HTTP connections that the agent ended before their clients did.",
        "reason",
        lambda: agent.connections.ended,
    )
    for name, local in agent.tasks.items():
        for rung in local.rungs:
            agent.metrics.running(name, rung)
        if isinstance(local.engine, Measuring):
            agent.metrics.watch_engine(name, local.engine)
    for name, text, read in (
        ("streams", "Lossy streams open.", lambda: agent.streams.open_streams),
        (
            "stream_datagrams_unknown",
            "Datagrams that belong to no lossy stream.",
            lambda: agent.streams.unknown,
        ),
        ("queue_images", "Images waiting or at work.", lambda: agent.pool.pending),
        ("connections", "HTTP connections open.", lambda: agent.connections.open),
        ("body_bytes", "Bytes of request bodies held.", lambda: agent.bodies.held),
        (
            "gateway_breaker_open",
            "1 while escalations are held back.",
            lambda: agent.upstream.held_back,
        ),
    ):
        agent.metrics.watch(f"hawkvision_{name}", text, read)
