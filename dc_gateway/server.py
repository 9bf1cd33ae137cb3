"""Put the gateway together, serve, and drain on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

import grpc.aio

from dc_gateway.config import GatewayConfig
from dc_gateway.model import LargeModel, load_models
from dc_gateway.servicer import InferenceServicer
from hawkvision.errors import HawkVisionError
from hawkvision.oip.open_inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from hawkvision.serving.event_loop import new_event_loop
from hawkvision.serving.pool import WorkerPool

_MIN_PING_INTERVAL_MS = 10_000


class Gateway:
    """A listening gRPC server over loaded models; use it within one event loop."""

    def __init__(self, config: GatewayConfig, models: Mapping[str, LargeModel]) -> None:
        self._config = config
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

    async def start(self) -> int:
        """Listen; the port, which is a free one where the configuration says 0.

        Raises HawkVisionError if it cannot listen there.
        """
        config = self._config
        host = f"[{config.host}]" if ":" in config.host else config.host
        try:
            port = self._server.add_insecure_port(f"{host}:{config.port}")
        except RuntimeError as error:
            raise HawkVisionError(
                f"cannot listen on {host}:{config.port}",
                hint="Choose another --port, or stop what holds it.",
            ) from error
        await self._server.start()
        return port

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
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(config, models)
    try:
        port = await gateway.start()
        names = ", ".join(models)
        print(f"dc gateway ready on {config.host}:{port} (tasks: {names})", flush=True)
        await stop.wait()
        await gateway.drain()
    finally:
        await gateway.close()


def run(config: GatewayConfig) -> None:
    """Load the models and serve, on uvloop where it is installed. Raises HawkVisionError."""
    models = load_models(config)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(config, models))
