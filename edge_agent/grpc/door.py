"""The agent's gRPC port, put together."""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.classify import Classifier
from edge_agent.config import EdgeConfig
from edge_agent.grpc.limits import credentials, door_limits
from edge_agent.grpc.servicer import EdgeServicer
from edge_agent.http.auth import AppKeys
from edge_agent.metrics import AgentMetrics
from hawkvision.serving.grpc.door import Door
from hawkvision.serving.resident import Resident


def door_of(
    config: EdgeConfig,
    classifier: Classifier,
    keys: AppKeys,
    metrics: AgentMetrics,
    draining: Callable[[], bool],
    shared: bool,
) -> Door | None:
    """None where no port is asked for. Raises HawkVisionError for TLS files that cannot be read.

    `shared`: the port is that of other workers too.
    """
    if config.grpc_port is None:
        return None
    versions = [(name, local.task.version) for name, local in classifier.tasks.items()]
    control = Resident(versions, draining)
    servicer = EdgeServicer(classifier, control, keys, config.max_batch, metrics.refused)
    limits = door_limits(config, shared=shared)
    return Door(servicer, classifier.tasks, limits, credentials(config))
