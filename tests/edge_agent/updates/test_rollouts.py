"""New versions over the air at a real agent: taken up where they are no worse, else sent back."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.config import EdgeConfig
from edge_agent.updates.state import UpdateState
from edge_agent.updating import updates_of
from hawkvision.errors import InvalidRequest, RepositoryError
from hawkvision.updates.release import Wave
from hawkvision.updates.waves import Phase, place_of
from tests.edge_agent.agents import exchange, gateway_of, request, started
from tests.edge_agent.updates.rolling import (
    QUICK,
    colours,
    repository_of,
    rollouts,
    signs,
    traffic,
    until,
    updating,
)
from tests.models import add_version
from tests.redis_server import RedisServer
from tests.updates.damage import certify_wrongly, copied, fail_at_bright, mix_up
from tests.updates.publishing import Cheat, Shop, flipped, served


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.fixture
def models(shop: Shop, tmp_path: Path) -> Path:
    return repository_of(shop.repository / "tiny" / "1", tmp_path / "models")


async def test_a_version_that_is_no_worse_is_taken_up(
    shop: Shop, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop.release("2", QUICK)
    with served(shop.site) as url, caplog.at_level(logging.INFO):
        async with (
            updating(models, url, shop.root) as agent,
            traffic(agent, colours(), task="tiny", accuracy=0.5) as seen,
        ):
            await until(lambda: rollouts(agent).ended["accepted"] == 1)
            assert agent.tasks["tiny"].version == "2"
            assert agent.versions.loads == {"ok": 1, "failed": 0}
            assert rollouts(agent).active == {}
            more = len(seen.right) + 20
            await until(lambda: len(seen.right) > more)
            metrics = (await exchange(agent, request("GET", "/metrics"))).body.decode()
    assert seen.failed == []
    assert 'hawkvision_updates_total{result="accepted"} 1.0' in metrics
    phases = [one for one in caplog.messages if one.startswith("update: ")]
    assert [
        word in said
        for word, said in zip(
            ("is here", "is compared with", "serves on trial", "is accepted"), phases, strict=True
        )
    ] == [True] * 4
    async with started(models) as again:
        assert again.tasks["tiny"].version == "2"


async def test_a_worse_version_is_sent_back_by_labels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Well-formed, signed, and certified by references of its own; half of its names are wrong."""
    shop = Shop(tmp_path / "shop")
    models = copied(tmp_path / "models", "2").parent.parent
    worse = copied(tmp_path / "worse", "3")
    mix_up(worse)
    certify_wrongly(worse)
    shop.show(worse, replace(QUICK, first_pairs=1, label_wait_s=30))
    images = signs()
    next(images)
    with served(shop.site) as url, caplog.at_level(logging.INFO):
        async with updating(models, url, shop.root) as agent:
            async with traffic(agent, images, accuracy=0.5, pause_s=0.3):
                await until(lambda: agent.tasks["roadsigns"].version == "3")
            began = time.monotonic()
            async with traffic(agent, images, accuracy=0.5) as seen:
                await until(lambda: agent.tasks["roadsigns"].version == "2")
                assert time.monotonic() - began < 60  # 10 s where nothing else runs
            await until(lambda: rollouts(agent).ended["refused"] == 1)
            looks = rollouts(agent).looks["ok"]
            await until(lambda: rollouts(agent).looks["ok"] >= looks + 2)
            assert rollouts(agent).active == {}
    assert seen.failed == []
    assert len(seen.right) > 8
    said = "\n".join(caplog.messages)
    assert "version 3 serves on trial" in said
    assert "version 3 is refused (the version is worse); version 2 serves" in said
    state = UpdateState(models / ".updates" / "edge")
    assert state.refused("roadsigns", "3") == "the version is worse"
    state.close()


async def test_a_worse_version_is_found_by_the_data_center_without_labels(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    models = copied(tmp_path / "models", "2").parent.parent
    worse = copied(tmp_path / "worse", "3")
    mix_up(worse)
    certify_wrongly(worse)
    shop.show(worse, replace(QUICK, judges=("dc",), first_pairs=1_000_000))
    with served(shop.site) as url:
        async with (
            gateway_of(models) as gateway,
            updating(models, url, shop.root, gateway=gateway) as agent,
            traffic(agent, signs(), labels=False, accuracy=0.5),
        ):
            await until(lambda: rollouts(agent).ended["refused"] == 1)
            assert agent.tasks["roadsigns"].version == "2"
            assert agent.versions.loads == {"ok": 0, "failed": 0}


async def test_a_version_that_rolls_back_does_so_within_ten_seconds(
    shop: Shop, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the moment in which the fleet says halt."""
    shop.release("2", replace(QUICK, least_pairs=1_000_000, first_pairs=1))
    with served(shop.site) as url, caplog.at_level(logging.INFO):
        async with (
            updating(models, url, shop.root) as agent,
            traffic(agent, colours(), task="tiny", accuracy=0.5) as seen,
        ):
            await until(lambda: agent.tasks["tiny"].version == "2")
            await agent.fleet.store.put_note("halt/tiny@2", "another", "the version is worse")
            began = time.monotonic()
            await until(lambda: agent.tasks["tiny"].version == "1")
            assert time.monotonic() - began < 60  # 10 s where nothing else runs
            assert rollouts(agent).ended["refused"] == 1
    assert seen.failed == []
    assert "halted in the fleet: agent another: the version is worse" in "\n".join(caplog.messages)


async def test_a_version_that_fails_at_users_images_never_serves(
    shop: Shop, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = add_version(shop.repository, "2")
    fail_at_bright(broken)
    shop.show(broken, replace(QUICK, first_pairs=1000))
    with served(shop.site) as url, caplog.at_level(logging.INFO):
        async with (
            updating(models, url, shop.root) as agent,
            traffic(agent, colours(), task="tiny", accuracy=0.5) as seen,
        ):
            await until(lambda: rollouts(agent).ended["refused"] == 1)
            assert agent.tasks["tiny"].version == "1"
    assert seen.failed == []
    assert "the version is worse" in "\n".join(caplog.messages)


async def test_agents_of_one_store_halt_together(
    shop: Shop, models: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    """One agent finds the version worse by its labels; the other one has no traffic at all."""
    quiet = repository_of(shop.repository / "tiny" / "1", tmp_path / "quiet")
    broken = add_version(shop.repository, "2")
    fail_at_bright(broken)
    shop.show(broken, replace(QUICK, first_pairs=1000))
    with served(shop.site) as url:
        async with (
            updating(models, url, shop.root, store=redis_server.url) as busy,
            updating(quiet, url, shop.root, store=redis_server.url) as idle,
            traffic(busy, colours(), task="tiny", accuracy=0.5),
        ):
            await until(lambda: rollouts(busy).ended["refused"] == 1)
            began = time.monotonic()
            await until(lambda: rollouts(idle).ended["refused"] == 1)
            assert time.monotonic() - began < 60  # 10 s where nothing else runs
            assert idle.tasks["tiny"].version == "1"
    state = UpdateState(quiet / ".updates" / "edge")
    assert "halted in the fleet: agent" in (state.refused("tiny", "2") or "")
    state.close()


async def test_a_later_wave_follows_once_an_earlier_agent_has_passed(
    shop: Shop, models: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    second = repository_of(shop.repository / "tiny" / "1", tmp_path / "second")
    places = {}
    for folder, agent_id in ((models, "first"), (second, "second")):
        state = folder / ".updates" / "edge"
        state.mkdir(parents=True)
        (state / "agent-id").write_text(agent_id)
        places[agent_id] = place_of(agent_id, "tiny", "2")
    early, late = sorted(places, key=places.__getitem__)
    border = (places[early] + places[late]) / 2
    shop.release("2", replace(QUICK, waves=(Wave(border), Wave(1.0))))
    folders = {"first": models, "second": second}
    url_of_store = {"store": redis_server.url}
    with served(shop.site) as url:
        async with updating(folders[early], url, shop.root, **url_of_store) as one:
            await until(lambda: "tiny" in rollouts(one).active)
            await until(lambda: rollouts(one).active["tiny"].noted == "trial")
            async with updating(folders[late], url, shop.root, **url_of_store) as other:
                await until(lambda: rollouts(other).looks["ok"] >= 3)
                assert rollouts(other).active["tiny"].course.phase is Phase.WAITING
                async with traffic(one, colours(), task="tiny", accuracy=0.5):
                    await until(lambda: rollouts(one).ended["accepted"] == 1)
                await until(lambda: rollouts(other).active["tiny"].course.phase is Phase.TRIAL)


async def test_an_agent_of_a_later_wave_waits(shop: Shop, models: Path) -> None:
    late = replace(QUICK, waves=(Wave(1e-6, 3600), Wave(1.0)))
    shop.release("2", late)
    with served(shop.site) as url:
        async with updating(models, url, shop.root) as agent:
            await until(lambda: "tiny" in rollouts(agent).active)
            await until(lambda: rollouts(agent).looks["ok"] >= 3)
            assert rollouts(agent).active["tiny"].course.phase is Phase.WAITING
            assert agent.tasks["tiny"].version == "1"


async def test_what_cannot_be_verified_changes_nothing(
    shop: Shop, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop.release("2", QUICK)
    with served(shop.site, Cheat({"release.json": flipped})) as url:
        async with updating(models, url, shop.root) as agent:
            await until(lambda: rollouts(agent).looks["failed"] >= 2)
            assert rollouts(agent).active == {}
            assert (await exchange(agent, request("GET", "/v2/health/ready"))).status == 200
    assert "not the one that was signed" in "\n".join(caplog.messages)
    assert not (models / "tiny" / "2").exists()


async def test_a_reload_by_hand_does_not_end_a_trial(shop: Shop, models: Path) -> None:
    shop.release("2", replace(QUICK, least_pairs=1_000_000, first_pairs=1))
    with served(shop.site) as url:
        async with (
            updating(models, url, shop.root, watch_repository=0.1) as agent,
            traffic(agent, colours(), task="tiny", accuracy=0.5),
        ):
            await until(lambda: agent.tasks["tiny"].version == "2")
            agent.reload()
            pairs = rollouts(agent).active["tiny"].trial
            assert pairs is not None
            seen = pairs.evidence.pairs
            await until(lambda: pairs.evidence.pairs > seen + 20)
            assert agent.tasks["tiny"].version == "2"


async def test_two_agents_do_not_share_a_repository_that_takes_updates(
    shop: Shop, models: Path
) -> None:
    with served(shop.site) as url:
        async with updating(models, url, shop.root):
            with pytest.raises(RepositoryError, match="another agent takes updates"):
                async with updating(models, url, shop.root):
                    pass
        async with updating(models, url, shop.root):
            pass


async def test_an_address_needs_a_root(models: Path) -> None:
    with pytest.raises(InvalidRequest, match="go together"):
        async with started(models, updates="http://127.0.0.1:1"):
            pass


async def test_the_tasks_that_ship_take_no_updates(tmp_path: Path) -> None:
    root = tmp_path / "root.json"
    root.write_text("{}")
    config = EdgeConfig(updates="http://127.0.0.1:1", updates_root=root)
    with pytest.raises(InvalidRequest, match="that ship"):
        updates_of(config, None)
