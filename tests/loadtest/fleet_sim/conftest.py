"""A real Redis, and small fleets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtest.bench.fleet_sim.settings import AgentSettings, Phase, Simulation
from loadtest.bench.fleet_sim.store import Server
from tests.redis_server import RedisServer

SERVER = Server(sent_s=7e-6, inner_s=2e-6, field_s=0.24e-6, told_s=1.4e-6)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    yield server
    server.kill()


def small(**changes: Any) -> Simulation:
    """Twelve agents, two gateways, 40 s of which the last 20 have drifted."""
    plan: dict[str, Any] = {
        "task": "roadsigns",
        "agents": 12,
        "rate": 4.0,
        "targets": (0.8, 0.9, 0.95),
        "gateways": 2,
        "known": 2,
        "phases": (Phase(20.0, 0.0), Phase(20.0, 0.5)),
        "server": SERVER,
        "agent": AgentSettings(),
        "seed": 3,
    }
    return Simulation(**(plan | changes))
