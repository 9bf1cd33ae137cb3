"""Whose word counts, at the door: with keys on nobody steers, judges or passes for another app."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.agent import Agent
from edge_agent.exporting import export
from hawkvision.errors import HawkVisionError
from tests.edge_agent.agents import gateway_of, started
from tests.models import LABELS, coloured_jpeg

KEY, OTHER_KEY = "g" * 20, "b" * 20
GATE = {"Authorization": f"Bearer {KEY}"}
BELT = {"Authorization": f"Bearer {OTHER_KEY}"}
NOISY = 145.0
"""Far noisier than calibration: the edge errs on such images and does not know it."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"gate": KEY, "belt": OTHER_KEY}))
    return path


class Door:
    """A session with an agent."""

    def __init__(self, agent: Agent, session: aiohttp.ClientSession) -> None:
        self.agent = agent
        self._session = session

    async def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, Any]:
        async with self._session.request(
            method, self.agent.url + path, headers=headers, **options
        ) as reply:
            body = await reply.read()
            return reply.status, json.loads(body) if body[:1] in (b"{", b"[") else body.decode()

    async def classify(
        self, first: int, count: int, query: str, headers: dict[str, str] | None = None, **how: Any
    ) -> list[Any]:
        """Answers to so many images, 30 in a request."""
        answers: list[Any] = []
        for start in range(first, first + count, 30):
            form = aiohttp.FormData()
            for index in range(start, min(start + 30, first + count)):
                image = coloured_jpeg(LABELS[index % 4], seed=index + 1, **how)
                form.add_field("image", image, filename="x.jpg", content_type="image/jpeg")
            status, body = await self.call("POST", f"/v1/classify?{query}", headers, data=form)
            assert status == 200, body
            answers += body.get("results", [body])
        return answers

    async def until(self, path: str, good: Callable[[Any], bool]) -> Any:
        """What a path answers once it is good."""
        async with asyncio.timeout(120):
            while not good(body := (await self.call("GET", path))[1]):
                await asyncio.sleep(0.05)
        return body

    async def flood(self, floor: float) -> float:
        """Noisy images without a key until they have raised their threshold, which comes back."""
        async with asyncio.timeout(240):
            for start in itertools.count(0, 300):
                await self.classify(start, 300, "accuracy=0.8&deadline_ms=60000", noise=NOISY)
                _, body = await self.call("GET", "/v1/tasks/tiny/accuracy")
                threshold = body["thresholds"].get("0.8", {}).get("threshold", 0.0)
                if threshold > floor + 0.03:
                    break
        return float(threshold)

    async def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """Values of a metric by its labels but for the task."""
        _, text = await self.call("GET", "/metrics")
        return {
            tuple(value for label, value in sample.labels.items() if label != "task"): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }


@asynccontextmanager
async def door(repository: Path, **settings: Any) -> AsyncIterator[Door]:
    options = {"tracking_interval_s": 0.05, "audit_share": 0.5, "max_queue": 500}
    async with gateway_of(repository) as address:
        all_options = {"gateway": address, **options, **settings}
        async with (
            started(repository, **all_options) as agent,
            aiohttp.ClientSession() as session,
        ):
            yield Door(agent, session)


def counted(requests: int) -> Callable[[Any], bool]:
    return lambda body: body["windows"].get("5m", {}).get("requests", 0) >= requests


TARGET = {"task": "tiny", "accuracy": 0.8}


async def test_a_flood_without_a_key_steers_and_judges_no_app(
    tiny_repository: Path, keys: Path
) -> None:
    async with door(tiny_repository, app_keys=keys) as agent:
        assert (await agent.call("PUT", "/v1/apps/gate", GATE, json=TARGET))[0] == 200
        before = await agent.classify(0, 90, "app=gate", GATE)
        report = await agent.until("/v1/apps/gate/accuracy", counted(90))
        await agent.until("/v1/tasks/tiny/accuracy", lambda body: "+gate/0.8" in body["thresholds"])
        await agent.flood(before[0]["accuracy"]["threshold"])
        after = await agent.classify(0, 90, "app=gate", GATE)
        for one in after:
            assert one["accuracy"]["threshold"] == pytest.approx(report["threshold"], abs=0.02)
        escalated = [sum(one["escalated"] for one in found) for found in (before, after)]
        assert abs(escalated[1] - escalated[0]) <= 3
        found = await agent.until("/v1/apps/gate/accuracy", counted(180))
        assert found["windows"]["5m"]["requests"] == 180
        assert "0.8" in found["thresholds"] and "+gate/0.8" not in found["thresholds"]
        await export(agent.agent)
        app = (await agent.samples("hawkvision_app_accuracy"))["gate", "0.8", "threshold"]
        assert app == pytest.approx(report["threshold"], abs=0.02)
        assert (await agent.samples("hawkvision_accuracy"))["0.8", "threshold"] > app


async def test_without_keys_all_traffic_is_one(tiny_repository: Path) -> None:
    async with door(tiny_repository) as agent:
        assert (await agent.call("PUT", "/v1/apps/gate", json=TARGET))[0] == 200
        _, body = await agent.call("GET", "/v1/apps/gate/accuracy")
        risen = await agent.flood(body["certified_threshold"])
        (answer,) = await agent.classify(0, 1, "app=gate")
        assert answer["accuracy"]["threshold"] >= risen


@pytest.mark.parametrize("headers", [None, BELT, {"Authorization": "Basic Zzo="}])
async def test_a_name_is_nothing_without_its_key(
    tiny_repository: Path, keys: Path, headers: dict[str, str] | None
) -> None:
    async with door(tiny_repository, app_keys=keys) as agent:
        await agent.call("PUT", "/v1/apps/gate", GATE, json=TARGET)
        image = coloured_jpeg("red")
        for path, options in (
            ("/v1/classify?app=gate", {"data": image}),
            ("/v1/streams", {"json": {"app": "gate"}}),
        ):
            status, body = await agent.call("POST", path, headers, **options)
            if headers is BELT:
                assert (status, body["error"]["code"]) == (403, "forbidden")
            else:
                assert (status, body["error"]["code"]) == (401, "unauthorized")
                assert "Authorization" in body["error"]["hint"]


async def test_a_key_alone_counts_as_its_app(tiny_repository: Path, keys: Path) -> None:
    async with door(tiny_repository, app_keys=keys) as agent:
        await agent.call("PUT", "/v1/apps/gate", GATE, json=TARGET)
        image = coloured_jpeg("red")
        _, answer = await agent.call("POST", "/v1/classify?accuracy=0.7", GATE, data=image)
        assert answer["accuracy"]["target"] == 0.7
        await agent.call("POST", "/v1/classify?accuracy=0.7", data=image)
        strange = {"Authorization": "Bearer somebody-else's-token"}
        assert (await agent.call("POST", "/v1/classify", strange, data=image))[0] == 401
        report = await agent.until("/v1/apps/gate/accuracy", counted(1))
        assert report["windows"]["5m"]["requests"] == 1
        feedback = {"request_id": answer["request_id"], "label": "red"}
        for headers, status in ((BELT, 403), (GATE, 202)):
            assert (await agent.call("POST", "/v1/feedback", headers, json=feedback))[0] == status


async def test_a_name_in_the_key_file_is_one_that_a_request_can_have(
    tiny_repository: Path, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"*other": KEY}))
    with pytest.raises(HawkVisionError, match="no name of an app"):
        async with started(tiny_repository, app_keys=path):
            pass
