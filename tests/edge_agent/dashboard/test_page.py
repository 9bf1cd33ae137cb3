"""The page as it is put together, and as the agent serves it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from pathlib import Path

import pytest

from edge_agent.dashboard.page import SCRIPTS, STYLES, asset, page
from tests.edge_agent.agents import exchange, request, started

FOLDER = Path(__file__).resolve().parents[3] / "edge_agent" / "dashboard" / "assets"
OURS = [name for name in (*STYLES, *SCRIPTS) if not name.startswith("uplot")]


def test_every_file_of_the_page_is_in_it() -> None:
    used = {*STYLES, *SCRIPTS, "index.html", "uplot-licence.txt"}
    assert {path.name for path in FOLDER.iterdir()} == used


def test_the_policy_names_what_stands_inline() -> None:
    found = page()
    text = found.html.decode()
    for tag in ("style", 'script type="module"'):
        name = tag.partition(" ")[0]
        [inside] = re.findall(f"<{tag}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in found.policy


def test_the_policy_lets_nothing_else_run() -> None:
    policy = page().policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "http" not in policy
    assert "frame-ancestors 'none'" in policy


def test_the_licence_of_what_is_not_ours_goes_with_it() -> None:
    assert "Copyright (c) 2022 Leon Sorokin" in page().html.decode()


@pytest.mark.parametrize("name", [*OURS, "index.html"])
def test_no_file_names_another_host(name: str) -> None:
    found = set(re.findall(r"https?://[\w./]+", asset(name)))
    assert found <= {"http://www.w3.org/2000/svg"}  # a name, not a place


@pytest.mark.parametrize("name", [one for one in OURS if one.endswith(".js")])
def test_no_script_makes_markup_of_text(name: str) -> None:
    wrong = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|\.style\b"
    assert re.findall(wrong, asset(name)) == []


@pytest.mark.parametrize("name", OURS)
def test_every_file_is_short_enough_to_read(name: str) -> None:
    assert len(asset(name).splitlines()) <= 400


async def test_the_page_is_served_as_it_is_and_compressed(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        plain = await exchange(agent, request("GET", "/"))
        packed = await exchange(agent, request("GET", "/", b"", "Accept-Encoding: gzip"))
    assert (plain.status, plain.body) == (200, page().html)
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["content-type"] == "text/html; charset=utf-8"


async def test_the_page_is_guarded(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        headers = (await exchange(agent, request("GET", "/"))).headers
    assert headers["content-security-policy"] == page().policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


async def test_who_has_the_page_gets_no_second_copy(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        asked = request("GET", "/", b"", f"If-None-Match: {page().etag}")
        reply = await exchange(agent, asked)
    assert (reply.status, reply.body) == (304, b"")


async def test_without_a_dashboard_the_agent_says_what_it_is(tiny_repository: Path) -> None:
    async with started(tiny_repository, dashboard=False) as agent:
        assert (await exchange(agent, request("GET", "/"))).json["name"] == "hawkvision-edge"
        assert (await exchange(agent, request("GET", "/v1/dashboard/events"))).status == 404
        assert agent.classifier.heard is None
