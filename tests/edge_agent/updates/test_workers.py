"""Several workers: the first one tries a version, and all have it once it is accepted."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from hawkvision.client.async_client import AsyncClient
from hawkvision.errors import HawkVisionError
from tests.edge_agent.test_workers_reload import ready
from tests.edge_agent.updates.rolling import QUICK, colours, repository_of
from tests.processes import edge, free_port
from tests.updates.publishing import Shop, served


async def test_all_workers_have_a_version_once_it_is_accepted(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.release("2", QUICK)
    models = repository_of(shop.repository / "tiny" / "1", tmp_path / "models")
    options = ("--updates-root", str(shop.site / "metadata" / "root.json"), "--workers", "2")
    images = colours()
    with (
        served(shop.site) as url,
        edge(
            models, f"127.0.0.1:{free_port()}", "--updates", url, "--updates-every-s", "1", *options
        ) as service,
    ):
        async with asyncio.timeout(100):
            while await asyncio.to_thread(ready, service, "2") < 2:
                with contextlib.suppress(HawkVisionError):
                    for _ in range(20):
                        async with AsyncClient(f"http://{service.address}") as client:
                            image, _label = next(images)
                            await client.classify(image, accuracy=0.5)
    assert (models / "tiny" / "2" / "task.toml").is_file()
