"""The gateway put together: an object that a process, a program or a test starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import grpc.aio

from dc_gateway.config import GatewayConfig
from dc_gateway.model import LargeModel, load_models
from dc_gateway.servicer import InferenceServicer
from hawkvision.errors import HawkVisionError
from hawkvision.oip.open_inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from hawkvision.serving import service
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.service import ServiceKind

_MIN_PING_INTERVAL_MS = 10_000


class Gateway:
    """A listening gRPC server over loaded models; use it within one event loop."""

    def __init__(self, config: GatewayConfig, models: Mapping[str, LargeModel]) -> None:
        self._config = config
        self._port = config.port
        self.models = models
        loop = asyncio.get_running_loop()
        self.pool = WorkerPool(config.threads, config.max_queue, loop)
        self.servicer = InferenceServicer(models, self.pool, config.images_per_request)
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=config.max_calls,
            options=(
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", config.max_message_bytes),
                ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
            ),
        )
        add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self.servicer, self._server
        )

    @property
    def address(self) -> str:
        """HOST:PORT where edges reach it; right once it has started."""
        host = self._config.host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def ready_line(self) -> str:
        """What a process prints when it is ready."""
        return f"dc gateway ready on {self.address} (tasks: {', '.join(self.models)})"

    async def start(self) -> int:
        """Listen; the port, which is a free one where the configuration says 0.

        Raises HawkVisionError if it cannot listen there.
        """
        try:
            self._port = self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise HawkVisionError(
                f"cannot listen on {self.address}",
                hint="Choose another --port, or stop what holds it.",
            ) from error
        await self._server.start()
        return self._port

    async def drain(self) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        self.servicer.draining = True
        await asyncio.sleep(self._config.drain_notice_s)
        await self._server.stop(self._config.drain_grace_s)

    async def close(self) -> None:
        """Stop at once; calls in flight are cancelled."""
        await self._server.stop(None)
        self.pool.close()


async def serve(config: GatewayConfig, models: Mapping[str, LargeModel]) -> None:
    """Serve until SIGTERM or SIGINT; print one line when ready. Raises HawkVisionError."""
    await service.serve(Gateway(config, models))


def run(config: GatewayConfig) -> None:
    """Load the models and serve. Raises HawkVisionError."""
    service.run(serve(config, load_models(config)))


SERVICE = ServiceKind(GatewayConfig, load_models, Gateway)
