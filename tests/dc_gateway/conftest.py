"""A gateway of this process on a free port, over the tiny task."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from dc_gateway.config import GatewayConfig
from dc_gateway.model import load_models
from dc_gateway.server import Gateway
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.certificates import Authority, Signed
from tests.models import build_tiny_repository


@dataclass
class Served:
    """A listening gateway, its address, and a stub that calls it."""

    gateway: Gateway
    address: str
    stub: Any


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def serve(repository: Path) -> Serve:
    """Start a gateway with these settings."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Served]:
        options = {"port": 0, "threads": 1, "drain_notice_s": 0.0} | settings
        config = GatewayConfig(model_repository=repository, **options)
        gateway = Gateway(config, load_models(config))
        try:
            address = f"127.0.0.1:{await gateway.start()}"
            async with grpc.aio.insecure_channel(address) as channel:
                stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
                yield Served(gateway, address, stub)
        finally:
            await gateway.close()

    return start


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def agent(ours: Authority) -> Signed:
    return ours.sign("one", "DNS:agent-1,DNS:other-name")
