"""`grpc.health.v1.Health`: what probes of Kubernetes, Envoy and gRPC clients ask.

Our own stubs, in a descriptor pool of their own: grpcio-health-checking would tie grpcio to one
minor version, and can be installed beside them.
https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio

from hawkvision.errors import UnknownTask
from hawkvision.oip.health_pb2 import HealthCheckRequest, HealthCheckResponse
from hawkvision.serving.grpc.entrance import (
    Call,
    Context,
    Entrance,
    Method,
    check_small,
    parse,
    told,
)
from hawkvision.serving.grpc.status import Status
from hawkvision.serving.quota import Quota

SERVICE = "grpc.health.v1.Health"


class Health:
    """Serving until `draining` is set, for each of `services` and for the server itself ("")."""

    def __init__(self, services: Iterable[str], entrance: Entrance, watches: Quota) -> None:
        self._services = {"", SERVICE, *services}
        self._entrance = entrance
        self._watches = watches
        self._draining = asyncio.Event()
        self._closing = asyncio.Event()

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """By the method's name."""
        return {
            "Check": self._entrance.unary(Method(HealthCheckRequest, self.check, check_small)),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch),
        }

    def drain(self) -> None:
        """Say from now on that nothing serves."""
        self._draining.set()

    def serves(self, service: str, yes: bool) -> None:
        """A service has come, or gone: then it is not known any more."""
        (self._services.add if yes else self._services.discard)(service)

    def close(self) -> None:
        """End every watch."""
        self._closing.set()

    def _status(self, service: str) -> HealthCheckResponse.ServingStatus:
        if service not in self._services:
            return HealthCheckResponse.SERVICE_UNKNOWN
        if self._draining.is_set():
            return HealthCheckResponse.NOT_SERVING
        return HealthCheckResponse.SERVING

    async def check(self, request: HealthCheckRequest, call: Call) -> HealthCheckResponse:
        """The status of one service. Raises UnknownTask, NOT_FOUND as the protocol wants it."""
        status = self._status(request.service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            raise UnknownTask(
                f"no service {request.service[:80]!r}",
                hint=f"There is {', '.join(map(repr, sorted(self._services)))}.",
            )
        return HealthCheckResponse(status=status)

    async def _watch(self, _messages: object, context: Context) -> None:
        """The status now and whenever it changes, until the client or the server goes."""
        try:
            peer = self._entrance.peer(context)
            raw = await self._entrance.receive(peer, context)
            service = parse(HealthCheckRequest, raw, check_small).service
            with self._watches.take(peer, 1):
                await self._tell(service, context)
            status = Status(grpc.StatusCode.UNAVAILABLE, "unavailable: the server stops")
        except grpc.aio.BaseError:
            raise
        except Exception as error:
            status = told(error)
        await context.abort(status.code, status.details, status.trailing)

    async def _tell(self, service: str, context: Context) -> None:
        before = self._status(service)
        await context.write(HealthCheckResponse(status=before).SerializeToString())
        await self._draining.wait()
        after = self._status(service)
        if after != before:
            await context.write(HealthCheckResponse(status=after).SerializeToString())
        await self._closing.wait()
