"""The gateway as an application of Ray Serve: `serve run dc_gateway.ray_app:app`.

Each rung of each task is a deployment of its own, which Ray scales by its calls; the ingress takes
the protocol's calls over Ray's gRPC port. Needs the extra `ray`.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray looks

from google.protobuf.message import Message
from grpc import method_handlers_generic_handler, unary_unary_rpc_method_handler
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import DeploymentUnavailableError

from dc_gateway.model import wanted_tasks
from dc_gateway.upstreams.ray_ingress import Ingress
from dc_gateway.upstreams.ray_rungs import RungReplica
from dc_gateway.upstreams.ray_settings import RaySettings
from dc_gateway.upstreams.worker import WorkerSettings
from hawkvision.oip import health_pb2 as health

IS_LOST = (RayActorError, DeploymentUnavailableError)


def app(args: dict[str, Any]) -> Any:
    """The application, for Ray to deploy. Raises HawkVisionError for settings that cannot be."""
    settings = RaySettings.parse(args)
    config = settings.config()
    handles = {}
    for name, task in wanted_tasks(config).items():
        worker = WorkerSettings(
            str(config.model_repository.resolve()),
            config.engine,
            {name: task.version},
            config.limits,
        )
        for rung in task.rungs[1:]:
            deployment = serve.deployment(
                name=f"{name}-{rung.name}",
                max_ongoing_requests=max(1, round(2 * settings.target_ongoing)),
                ray_actor_options={"num_cpus": settings.cpus, "num_gpus": settings.gpus},
                health_check_period_s=settings.health_check_s,
                autoscaling_config={
                    "min_replicas": settings.min_replicas,
                    "max_replicas": settings.max_replicas,
                    "target_ongoing_requests": settings.target_ongoing,
                },
            )(RungReplica)
            handles[name, rung.name] = deployment.bind(worker.as_text(), rung.name)
    ingress = serve.deployment(
        name="gateway",
        num_replicas=settings.ingresses,
        max_ongoing_requests=settings.threads + settings.max_queue,
        ray_actor_options={"num_cpus": 0.5},
        health_check_period_s=settings.health_check_s,
    )(Ingress)
    return ingress.bind(settings.as_text(), handles, IS_LOST)


def add_health_to_server(servicer: Any, server: Any) -> None:
    """`grpc.health.v1.Health` with Check alone, for `grpc_servicer_functions`."""
    handler = unary_unary_rpc_method_handler(
        servicer.Check,
        request_deserializer=health.HealthCheckRequest.FromString,
        response_serializer=Message.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
    )
