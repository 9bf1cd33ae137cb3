"""A real agent whose journal's disk is full or read-only: it starts, counts, says so, and stops."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hawkvision.tracking.store.redis import RedisStore
from tests.models import LABELS, build_tiny_repository, coloured_jpeg
from tests.processes import Service, edge, free_port
from tests.redis_server import PATIENCE_S, RedisServer

IMAGES = 40


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    yield server
    server.kill()


@pytest.fixture(params=["full", "read-only"])
def bad_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    if request.param == "full":
        (folder / "filler").write_bytes(b"x" * 64 * 1024)
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def classify(service: Service) -> dict[str, Any]:
    """Send images; the state of the store, as the agent reports it afterwards."""
    async with aiohttp.ClientSession(f"http://{service.address}") as session:
        for index in range(IMAGES):
            image = coloured_jpeg(LABELS[index % 4], seed=index + 1)
            async with session.post("/v1/classify?accuracy=0.6", data=image) as reply:
                assert reply.status == 200
        async with session.get("/v1/tasks/tiny/accuracy") as reply:
            report = await reply.json()
    found: dict[str, Any] = report["store"]
    return found


async def counted(url: str) -> float:
    store = RedisStore.open(url, timeout_s=5.0)
    end = time.monotonic() + PATIENCE_S
    found = 0.0
    while found < IMAGES and time.monotonic() < end:
        counts = await store.counts("tiny@1", window_s=3600)
        found = sum(
            amount
            for sums in counts.values()
            for name, amount in sums.items()
            if name.startswith("answers/")
        )
        await asyncio.sleep(0.05)
    await store.close()
    return found


def test_no_count_is_lost_and_the_report_says_why(
    repository: Path, redis_server: RedisServer, bad_disk: Path
) -> None:
    options = ("--store", redis_server.url, "--journal", str(bad_disk / "sub" / "journal.db"))
    with edge(repository, f"127.0.0.1:{free_port()}", *options) as service:
        found = asyncio.run(classify(service))
        assert found["available"] and found["journal"].startswith("memory: ")
        assert asyncio.run(counted(redis_server.url)) == IMAGES
        assert service.terminate() == 0
        assert "Traceback" not in service.output
