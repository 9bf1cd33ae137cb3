"""The client's process: plan after plan, and what is said where nobody answers."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hawkvision.errors import HawkVisionError
from loadtest.bench.modeless.asking import Asking
from loadtest.bench.modeless.systems import Ground
from tests.processes import free_port


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    labels = [["one.jpg", "cat"], ["two.jpg", "dog"]] * 20
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    return {
        "host": "127.0.0.1", "port": 0, "path": "/v1/classify?task=pets",
        "images": str(tmp_path), "connections": 20, "rate": 100.0, "seconds": 0.5,
        "deadline_ms": 250.0, "targets": [(0.8, 1.0), (0.9, 1.0)], "seed": 1,
    }  # fmt: skip


def asking() -> Asking:
    cores = sorted(os.sched_getaffinity(0))[:1]
    return Asking(Ground({}, {}, cores, cores, 0.9))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are chosen on Linux")
async def test_every_plan_has_the_traffic_of_its_seed(plan: dict[str, Any]) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query["accuracy"])
        label = "cat" if await request.read() == b"one.jpg" else "cow"
        return web.json_response({"label": label, "served_by": "edge", "degraded": None})

    application = web.Application()
    application.router.add_post("/v1/classify", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        plan["port"] = server.port
        with asking() as client:
            loop = asyncio.get_running_loop()
            first, again, other = [
                await loop.run_in_executor(None, client.ask, one)
                for one in (plan, plan, {**plan, "seed": 2})
            ]
    assert len(first["ms"]) > 20 and set(first["status"]) == {200}
    for key in ("target", "due_s", "right"):
        assert first[key] == again[key] != other[key]
    assert 0 < sum(first["right"]) < len(first["ms"]), "half of the photos are cats"
    assert set(asked) == {"0.8", "0.9"}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are chosen on Linux")
def test_where_the_client_fails_is_said(plan: dict[str, Any]) -> None:
    with asking() as client:
        Path(plan["images"], "labels.json").unlink()
        for _ in range(2):
            with pytest.raises(HawkVisionError, match=r"labels\.json"):
                client.ask({**plan, "port": free_port()})
