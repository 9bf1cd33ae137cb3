"""The same gateway over each kind of upstream, reached by a stock stub."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from dc_gateway.config import GatewayConfig
from dc_gateway.loading import load_all
from dc_gateway.server import Gateway
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.dc_gateway.upstreams.ray_cluster import ray_gateway

KINDS = ("threads", "processes", "oip", "ray")
HAS_RAY = importlib.util.find_spec("ray") is not None


@dataclass
class Hosted:
    """A gateway that listens, on an event loop of its own in another thread."""

    gateway: Gateway
    address: str
    loop: asyncio.AbstractEventLoop


@contextmanager
def hosted(repository: Path, **settings: Any) -> Iterator[Hosted]:
    options = {"port": 0, "threads": 1, "drain_notice_s": 0.0} | settings
    config = GatewayConfig(model_repository=repository, **options)
    models = load_all(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[Gateway, int]:
        gateway = Gateway(config, models)
        return gateway, await gateway.start()

    gateway, port = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield Hosted(gateway, f"127.0.0.1:{port}", loop)
    finally:
        asyncio.run_coroutine_threadsafe(gateway.close(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


@asynccontextmanager
async def gateway_of(repository: Path, **settings: Any) -> AsyncIterator[tuple[Gateway, Any]]:
    """A gateway of this event loop, and a stub that calls it."""
    options = {"port": 0, "threads": 1, "drain_notice_s": 0.0} | settings
    config = GatewayConfig(model_repository=repository, **options)
    gateway = Gateway(config, load_all(config))
    port = await gateway.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield gateway, GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
    finally:
        await gateway.close()


@contextmanager
def stub_of(address: str) -> Iterator[Any]:
    with grpc.insecure_channel(address) as channel:
        yield GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]


@contextmanager
def served_by(kind: str, repository: Path) -> Iterator[str]:
    """The address of a gateway whose answers are computed so."""
    if kind == "ray":
        with ray_gateway(repository, max_replicas=1) as address:
            yield address
    elif kind == "oip":
        with (
            hosted(repository) as upstream,
            hosted(repository, upstreams=(upstream.address,)) as gateway,
        ):
            yield gateway.address
    else:
        with hosted(repository, processes=1 if kind == "processes" else 0) as gateway:
            yield gateway.address
