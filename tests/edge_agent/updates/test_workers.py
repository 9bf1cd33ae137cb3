"""Several workers: the first one tries a version; what comes of it moves all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.errors import HawkVisionError
from hawkvision.tracking.store.registry import open_store
from tests.edge_agent.test_workers_reload import ready
from tests.edge_agent.updates.rolling import QUICK, colours, repository_of
from tests.models import add_version
from tests.processes import Service, edge, free_port
from tests.redis_server import RedisServer
from tests.updates.damage import fail_at_bright
from tests.updates.publishing import Shop, served

LEFT = "version 2 is left (halted in the fleet: agent another"
"""Said by the first worker, which keeps the version that it may go back to."""


@contextlib.contextmanager
def two_workers(models: Path, shop: Shop, url: str, *options: str) -> Iterator[Service]:
    words = ["--updates", url, "--updates-every-s", "1", "--workers", "2", *options]
    words += ["--updates-root", str(shop.site / "metadata" / "root.json")]
    with edge(models, f"127.0.0.1:{free_port()}", *words) as service:
        yield service


async def ask(service: Service, *, often: int = 20) -> None:
    """On new connections, so that both workers are asked."""
    images = colours()
    with contextlib.suppress(HawkVisionError):
        for _ in range(often):
            async with AsyncClient(f"http://{service.address}") as client:
                image, _label = next(images)
                await client.classify(image, accuracy=0.5)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.fixture
def models(shop: Shop, tmp_path: Path) -> Path:
    return repository_of(shop.repository / "tiny" / "1", tmp_path / "models")


async def test_all_workers_have_a_version_once_it_is_accepted_and_leave_it_once_it_is_halted(
    shop: Shop, models: Path, redis_server: RedisServer
) -> None:
    shop.release("2", QUICK)
    with (
        served(shop.site) as url,
        two_workers(models, shop, url, "--store", redis_server.url) as service,
    ):
        async with asyncio.timeout(100):
            while await asyncio.to_thread(ready, service, "2") < 2:
                await ask(service)
            assert (models / "tiny" / "2" / "task.toml").is_file()
            store = open_store(redis_server.url)
            await store.put_note("halt/tiny@2", "another", "the version is worse")
            await store.close()
            while await asyncio.to_thread(ready, service, "1") < 2 or LEFT not in service.output:
                await asyncio.sleep(0.1)


async def test_a_version_that_is_worse_is_refused_and_no_worker_has_it(
    shop: Shop, models: Path
) -> None:
    broken = add_version(shop.repository, "2")
    fail_at_bright(broken)
    shop.show(broken, QUICK)
    with served(shop.site) as url, two_workers(models, shop, url) as service:
        async with asyncio.timeout(100):
            while "version 2 is refused" not in service.output:
                await ask(service)
        assert await asyncio.to_thread(ready, service, "1") == 2
        assert await asyncio.to_thread(ready, service, "2") == 0
    assert not (models / "tiny" / "2").exists()
