"""The agent's gRPC port, put together."""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.config import EdgeConfig
from edge_agent.grpc.limits import door_limits
from hawkvision.serving.grpc.door import Door
from hawkvision.serving.grpc.inference import InferenceService
from hawkvision.serving.tls import ServerTls


def door_of(
    config: EdgeConfig,
    service: InferenceService,
    tasks: Iterable[str],
    tls: ServerTls | None,
    *,
    shared: bool,
) -> Door | None:
    """None where no port is asked for.

    `shared`: the port is that of other workers too.
    """
    if config.grpc_port is None:
        return None
    limits = door_limits(config, shared=shared)
    return Door(service, tasks, limits, tls)
