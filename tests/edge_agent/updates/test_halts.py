"""A version that was taken up is left when the fleet halts it later, unless it is pinned."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from edge_agent.agent import Agent
from edge_agent.updates.halts import Halts, parse_pins
from edge_agent.updates.state import UpdateState
from hawkvision.errors import InvalidRequest
from tests.edge_agent.agents import exchange, request
from tests.edge_agent.updates.rolling import (
    QUICK,
    colours,
    repository_of,
    rollouts,
    traffic,
    until,
    updating,
)
from tests.models import add_version
from tests.redis_server import RedisServer
from tests.updates.damage import fail_at_bright
from tests.updates.publishing import Shop, served


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.fixture
def models(shop: Shop, tmp_path: Path) -> Path:
    return repository_of(shop.repository / "tiny" / "1", tmp_path / "models")


def halts(agent: Agent) -> Halts:
    assert agent.updates is not None and agent.updates.halts is not None
    return agent.updates.halts


async def halt(agent: Agent, version: str) -> None:
    await agent.fleet.store.put_note(f"halt/tiny@{version}", "another", "the version is worse")


async def test_an_accepted_version_is_left_within_ten_seconds_of_its_halt(
    shop: Shop, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop.release("2", QUICK)
    with served(shop.site) as url, caplog.at_level(logging.INFO):
        async with (
            updating(models, url, shop.root) as agent,
            traffic(agent, colours(), task="tiny", accuracy=0.5) as seen,
        ):
            await until(lambda: rollouts(agent).ended["accepted"] == 1)
            await halt(agent, "2")
            began = time.monotonic()
            await until(lambda: agent.tasks["tiny"].version == "1")
            assert time.monotonic() - began < 60  # 10 s where nothing else runs
            looks = rollouts(agent).looks["ok"]
            await until(lambda: rollouts(agent).looks["ok"] >= looks + 2)
            assert (rollouts(agent).active, agent.tasks["tiny"].version) == ({}, "1")
            metrics = (await exchange(agent, request("GET", "/metrics"))).body.decode()
    assert seen.failed == []
    assert 'hawkvision_updates_total{result="left"} 1.0' in metrics
    assert "version 2 is left (halted in the fleet: agent another: the version is worse)" in (
        caplog.text
    )
    assert not (models / "tiny" / "2").exists()
    assert (models / ".updates" / "edge" / "halted" / "tiny" / "2" / "task.toml").is_file()
    state = UpdateState(models / ".updates" / "edge")
    assert (state.refused("tiny", "2") or "").startswith("halted in the fleet: agent another")
    state.close()


async def test_the_evidence_of_one_agent_takes_a_version_from_another_that_has_it(
    shop: Shop, models: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    """One agent finds it worse on its traffic; the other one took it up before, and is idle."""
    broken = add_version(shop.repository, "2")
    holder = repository_of(shop.repository / "tiny" / "1", tmp_path / "holder")
    repository_of(broken, holder)
    fail_at_bright(broken)
    shop.show(broken, QUICK)
    with served(shop.site) as url:
        async with (
            updating(holder, url, shop.root, store=redis_server.url) as idle,
            updating(models, url, shop.root, store=redis_server.url) as busy,
            traffic(busy, colours(), task="tiny", accuracy=0.5),
        ):
            assert idle.tasks["tiny"].version == "2"
            await until(lambda: rollouts(busy).ended["refused"] == 1)
            began = time.monotonic()
            await until(lambda: idle.tasks["tiny"].version == "1")
            assert time.monotonic() - began < 60  # 10 s where nothing else runs


async def test_older_versions_that_were_halted_too_are_passed_over(
    shop: Shop, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for version in ("2", "3"):
        repository_of(add_version(shop.repository, version), models)
    shop.release("4", QUICK)
    with served(shop.site) as url:
        async with updating(models, url, shop.root, updates_pin=("tiny@3",)) as agent:
            await halt(agent, "2")
            await halt(agent, "3")
            await halts(agent).look()
            assert agent.tasks["tiny"].version == "3"
        async with updating(models, url, shop.root) as agent:
            await halt(agent, "2")
            await halt(agent, "3")
            await halt(agent, "4")
            await until(lambda: agent.tasks["tiny"].version == "1")
            assert halts(agent).left == 1
    assert sorted(one.name for one in (models / "tiny").iterdir()) == ["1"]


async def test_a_pinned_version_is_replaced_neither_by_a_halt_nor_by_a_release(
    shop: Shop, models: Path
) -> None:
    repository_of(add_version(shop.repository, "2"), models)
    shop.release("3", QUICK)
    with served(shop.site) as url:
        async with updating(models, url, shop.root, updates_pin=("tiny@2",)) as agent:
            await halt(agent, "2")
            await halts(agent).look()
            await until(lambda: rollouts(agent).looks["ok"] >= 2)
            assert (rollouts(agent).active, halts(agent).left) == ({}, 0)
            assert agent.tasks["tiny"].version == "2"
    assert (models / "tiny" / "2").is_dir()


async def test_a_version_with_nothing_to_go_back_to_stays_and_the_log_says_so_once(
    shop: Shop, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop.release("1", QUICK)
    with served(shop.site) as url:
        async with updating(models, url, shop.root) as agent:
            await halt(agent, "1")
            for _ in range(3):
                await halts(agent).look()
            assert agent.tasks["tiny"].version == "1"
            assert (await exchange(agent, request("GET", "/v2/health/ready"))).status == 200
    said = [one for one in caplog.messages if "goes on: no older version" in one]
    assert len(said) == 1


async def test_without_the_store_nobody_says_halt(
    shop: Shop, models: Path, redis_server: RedisServer
) -> None:
    repository_of(add_version(shop.repository, "2"), models)
    shop.release("2", QUICK)
    with served(shop.site) as url:
        async with updating(models, url, shop.root, store=redis_server.url) as agent:
            await halt(agent, "2")
            redis_server.kill()
            await halts(agent).look()
            assert agent.tasks["tiny"].version == "2"
            await asyncio.to_thread(redis_server.start)
            await until(lambda: agent.tasks["tiny"].version == "1")


@pytest.mark.parametrize("pins", [("tiny",), ("@2",), ("tiny@",), ("tiny@1", "tiny@2")])
def test_a_pin_names_one_version_of_a_task(pins: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest, match="--updates-pin"):
        parse_pins(pins)
    assert parse_pins(("tiny@1", "tiny@1", "a@b@c")) == {"tiny": "1", "a": "b@c"}
