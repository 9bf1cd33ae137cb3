"""A gateway that takes new versions from a publisher."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from hawkvision.errors import InvalidRequest
from hawkvision.repository import shipped_repository
from hawkvision.updates.release import Rollout, Wave
from tests.dc_gateway.calls import until
from tests.dc_gateway.test_reload import asked, served
from tests.edge_agent.updates.rolling import repository_of
from tests.updates.damage import copied, mix_up
from tests.updates.publishing import Shop
from tests.updates.publishing import served as site_of


async def test_a_release_serves_at_once_and_the_old_version_beside_it(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    models = repository_of(shop.repository / "tiny" / "1", tmp_path / "models")
    root = shop.site / "metadata" / "root.json"
    with site_of(shop.site) as url:
        async with served(models, updates=url, updates_root=root, updates_every_s=0.1) as one:
            assert await asked(one) == "1"
            shop.release("2", Rollout(waves=(Wave(0.01, 3600), Wave(1.0))))
            await until(lambda: one.gateway.models["tiny"].version == "2")
            assert await asked(one) == "2"
            assert await asked(one, "1") == "1"


async def test_a_version_that_computes_otherwise_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(tmp_path / "shop")
    models = copied(tmp_path / "models", "2").parent.parent
    wrong = copied(tmp_path / "wrong", "3")
    mix_up(wrong)
    shop.show(wrong)
    root = shop.site / "metadata" / "root.json"
    with site_of(shop.site) as url, caplog.at_level(logging.WARNING):
        async with served(models, updates=url, updates_root=root, updates_every_s=0.05) as one:
            await until(lambda: any("reference images differ" in x for x in caplog.messages))
            await asyncio.sleep(0.3)
            assert one.gateway.models["roadsigns"].version == "2"
    assert not (models / "roadsigns" / "3").exists()
    assert sum("reference images differ" in said for said in caplog.messages) == 1


async def test_an_address_needs_a_root(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    with pytest.raises(InvalidRequest, match="go together"):
        async with served(shop.repository, updates="http://127.0.0.1:1"):
            pass


async def test_the_tasks_that_ship_take_no_updates(tmp_path: Path) -> None:
    root = tmp_path / "root.json"
    root.write_text("{}")
    with pytest.raises(InvalidRequest, match="that ship"):
        async with served(shipped_repository(), updates="http://127.0.0.1:1", updates_root=root):
            pass
