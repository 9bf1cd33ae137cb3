"""A local Ray with the gateway's application on a free gRPC port. Needs Ray."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.processes import free_port

ROOT = Path(__file__).resolve().parents[3]
SERVICERS = (
    "hawkvision.oip.open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server",
    "dc_gateway.ray_app.add_health_to_server",
)


@contextmanager
def ray_gateway(repository: Path, **settings: object) -> Iterator[str]:
    """Its HOST:PORT once it answers."""
    port = free_port()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's own, by the dozen
        serve = _serve(port)
        try:
            from dc_gateway.ray_app import app

            serve.run(app({"repository": str(repository), "cpus": 0.5, **settings}))
            yield f"127.0.0.1:{port}"
        finally:
            import ray

            serve.shutdown()
            ray.shutdown()


def _serve(port: int) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray import serve
    from ray.serve.config import gRPCOptions

    ray.init(
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )
    serve.start(
        proxy_location="HeadOnly",
        grpc_options=gRPCOptions(port=port, grpc_servicer_functions=list(SERVICERS)),
        http_options={"host": "127.0.0.1", "port": free_port()},
    )
    return serve
