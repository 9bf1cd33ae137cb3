"""The agent's gRPC port, put together."""

from __future__ import annotations

from edge_agent.classify import Classifier
from edge_agent.config import EdgeConfig
from edge_agent.grpc.limits import door_limits
from edge_agent.grpc.servicer import EdgeServicer
from edge_agent.http.auth import AppKeys
from edge_agent.metrics import AgentMetrics
from hawkvision.serving.control import ModelControl
from hawkvision.serving.grpc.door import Door
from hawkvision.serving.tls import ServerTls


def door_of(
    config: EdgeConfig,
    classifier: Classifier,
    control: ModelControl,
    keys: AppKeys,
    metrics: AgentMetrics,
    tls: ServerTls | None,
    *,
    shared: bool,
) -> Door | None:
    """None where no port is asked for.

    `shared`: the port is that of other workers too.
    """
    if config.grpc_port is None:
        return None
    servicer = EdgeServicer(classifier, control, keys, config.max_batch, metrics.refused)
    limits = door_limits(config, shared=shared)
    return Door(servicer, classifier.tasks, limits, tls)
