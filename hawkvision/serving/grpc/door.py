"""The gRPC server of a service: inference, health and reflection behind one bounded entrance."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import grpc.aio

from hawkvision.errors import HawkVisionError
from hawkvision.oip import health_pb2, open_inference_pb2, reflection_pb2
from hawkvision.serving.clients import Clients
from hawkvision.serving.grpc import health, inference, reflection
from hawkvision.serving.grpc.credentials import server_credentials
from hawkvision.serving.grpc.entrance import Entrance, EntranceLimits, Method
from hawkvision.serving.grpc.health import Health
from hawkvision.serving.grpc.inference import InferenceService
from hawkvision.serving.grpc.reception import Reception
from hawkvision.serving.grpc.reflection import Reflection
from hawkvision.serving.grpc.stream_book import StreamLimits
from hawkvision.serving.grpc.streams import StreamMethod, Streams
from hawkvision.serving.grpc.transport import TransportLimits, server_options
from hawkvision.serving.quota import Quota
from hawkvision.serving.tls import ServerTls

_PATIENCE_S = 0.25
"""So long a message may be on its way while others wait for its place."""


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Of connections and messages (`transport`), of calls, and of streams.

    `calls` whose message is not here yet may there be, of which `receiving` are received at a time;
    `held_bytes` are of messages that are here and not answered, of which one client has at most
    `share`. Times in seconds: to receive a message, and to answer it.
    """

    transport: TransportLimits
    calls: int
    receiving: int
    held_bytes: int
    share: float
    receive_s: float
    deadline_s: float
    streams: StreamLimits


class Door:
    """A listening gRPC server before an `InferenceService`; use it within one event loop.

    `tls` None: in the clear. Where it asks for clients' certificates, their names are who calls,
    and with `allowed` nobody else may.
    """

    def __init__(
        self,
        service: InferenceService,
        models: Iterable[str],
        limits: DoorLimits,
        tls: ServerTls | None = None,
        allowed: Collection[str] = (),
    ) -> None:
        self._service = service
        self._credentials = server_credentials(tls)
        self.clients = Clients(certified=tls is not None and tls.asks_clients, allowed=allowed)
        self.entrance = Entrance(
            Reception(limits.calls, limits.receiving, _PATIENCE_S),
            Quota("bytes", limits.held_bytes, limits.share),
            EntranceLimits(
                min(limits.receive_s, limits.deadline_s),
                limits.deadline_s,
                limits.transport.message_bytes,
            ),
            self.clients,
        )
        self.streams = Streams(self.entrance, limits.streams)
        self.health = Health(
            (inference.SERVICE, *models),
            self.entrance,
            Quota("watches", limits.calls, limits.share),
        )
        files = [one.DESCRIPTOR for one in (open_inference_pb2, health_pb2, reflection_pb2)]
        reflected = Reflection(files).streams()
        self._server = grpc.aio.server(options=server_options(limits.transport))
        self._server.add_generic_rpc_handlers(
            (
                self._handler(inference.SERVICE, service.methods(), service.streams()),
                grpc.method_handlers_generic_handler(health.SERVICE, self.health.handlers()),
                *(self._handler(name, {}, reflected) for name in reflection.SERVICES),
            )
        )

    def _handler(
        self, name: str, methods: dict[str, Method[Any]], streams: dict[str, StreamMethod]
    ) -> grpc.GenericRpcHandler:
        table: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method: self.entrance.unary(one) for method, one in methods.items()
        }
        table |= {method: self.streams.handler(one) for method, one in streams.items()}
        return grpc.method_handlers_generic_handler(name, table)

    async def start(self, address: str) -> int:
        """Listen at HOST:PORT; the port, a free one for 0.

        Raises HawkVisionError if it cannot listen there.
        """
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise HawkVisionError(
                f"cannot listen on {address}", hint="Choose another port, or stop what holds it."
            ) from error
        await self._server.start()
        return port

    async def drain(self, notice_s: float, grace_s: float) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        self._service.draining = True
        self.health.drain()
        await asyncio.sleep(notice_s)
        self.health.close()
        self.streams.drain()
        await self._server.stop(grace_s)

    async def close(self) -> None:
        """Stop at once; calls in flight are cancelled."""
        await self._server.stop(None)
