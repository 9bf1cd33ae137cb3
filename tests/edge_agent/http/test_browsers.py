"""What browsers are told of answers, and that only pages of named origins may ask or change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.agent import Agent
from edge_agent.origins import parse_origin
from hawkvision.errors import InvalidRequest
from tests.edge_agent.agents import Reply, exchange, request, started
from tests.models import coloured_jpeg

SHOP, OTHER = "https://shop.example", "https://evil.example"
IMAGE = coloured_jpeg("red")
APP = json.dumps({"task": "tiny", "accuracy": 0.7}).encode()


def filled(path: str) -> str:
    for name, value in {"{app}": "gate", "{task}": "tiny", "{id}": "no", "{version}": "1"}.items():
        path = path.replace(name, value)
    return path


def safe(reply: Reply) -> bool:
    headers = reply.headers
    return (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


async def test_every_answer_says_what_it_is_and_that_nobody_keeps_it(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        for route in agent.routes:
            path = filled(route.path)
            sent = request(route.method, path, IMAGE if path.startswith("/v1/cl") else b"")
            reply = await exchange(agent, sent)
            if route.path == "/":  # a page without data, which is asked for anew each time
                assert reply.headers["cache-control"] == "no-cache"
                reply.headers["cache-control"] = "no-store"
            assert safe(reply), route
        for sent in (
            request("GET", "/nothing"),
            request("PATCH", "/v1/tasks"),
            request("POST", "/v1/classify", b"no image"),
            request("POST", "/v1/classify", IMAGE, "Connection: close"),
            request("GET", "/v2/health/live", b"", "Connection: close"),
            b"no HTTP\r\n\r\n",
        ):
            assert safe(await exchange(agent, sent)), sent


async def test_results_of_streams_say_so_too(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        opened = (await exchange(agent, request("POST", "/v1/streams"))).json
        assert safe(await exchange(agent, request("HEAD", opened["results"])))


async def test_the_root_is_no_page(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        reply = await exchange(agent, request("GET", "/"))
        assert "default-src 'none'" in reply.headers["content-security-policy"]


async def asked(agent: Agent, method: str, path: str, origin: str, *headers: str) -> Reply:
    body = IMAGE if path.startswith("/v1/classify") else APP
    return await exchange(agent, request(method, path, body, f"Origin: {origin}", *headers))


async def test_pages_of_named_origins_may_read_answers_and_others_may_not(
    tiny_repository: Path,
) -> None:
    async with started(tiny_repository, cors_origins=(SHOP,)) as agent:
        for method, path in (
            ("POST", "/v1/classify?accuracy=0.5"),
            ("POST", "/v1/classify?accuracy=2"),
            ("GET", "/v1/tasks"),
            ("GET", "/v2/health/live"),
            ("GET", "/nothing"),
            ("PATCH", "/v1/tasks"),
        ):
            ours = await asked(agent, method, path, SHOP)
            theirs = await asked(agent, method, path, OTHER)
            assert ours.headers["access-control-allow-origin"] == SHOP, (method, path)
            assert "Retry-After" in ours.headers["access-control-expose-headers"]
            assert "access-control-allow-origin" not in theirs.headers
            assert ours.headers["vary"] == theirs.headers["vary"] == "Origin"
            assert ours.status == theirs.status


async def test_a_preflight_says_what_may_be_sent(tiny_repository: Path) -> None:
    async with started(tiny_repository, cors_origins=(SHOP,)) as agent:
        reply = await asked(
            agent, "OPTIONS", "/v1/apps/gate", SHOP, "Access-Control-Request-Method: PUT"
        )
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == SHOP
        assert set(reply.headers["access-control-allow-methods"].split(", ")) == {
            *("GET", "HEAD", "PUT", "DELETE")
        }
        assert "X-API-Key" in reply.headers["access-control-allow-headers"]
        refused = await asked(agent, "OPTIONS", "/v1/apps/gate", OTHER)
        assert (refused.status, refused.code) == (403, "forbidden")
        assert "access-control-allow-origin" not in refused.headers
        assert "access-control-allow-methods" not in refused.headers


async def test_a_preflight_needs_no_key(tiny_repository: Path, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("")
    settings = {"keys": tmp_path / "keys.toml", "cors_origins": (SHOP,)}
    async with started(tiny_repository, **settings) as agent:
        assert (await asked(agent, "OPTIONS", "/v1/tasks", SHOP)).status == 204
        refused = await asked(agent, "GET", "/v1/tasks", SHOP)
        assert refused.status == 401
        assert refused.headers["access-control-allow-origin"] == SHOP


async def test_without_named_origins_there_is_no_preflight(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        reply = await asked(agent, "OPTIONS", "/v1/tasks", SHOP)
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        reply = await asked(agent, "GET", "/v1/tasks", SHOP)
        assert reply.status == 200 and "access-control-allow-origin" not in reply.headers


async def test_a_page_of_elsewhere_changes_nothing(tiny_repository: Path) -> None:
    """Browsers send such requests without asking first: the answer is hidden, the change made."""
    async with started(tiny_repository, cors_origins=(SHOP,)) as agent:
        unload = "/v2/repository/models/none/unload"
        here = agent.url
        for method, path in (("PUT", "/v1/apps/gate"), ("POST", unload), ("POST", "/v1/streams")):
            for origin in (OTHER, "null", "http://[", "http://x.evil.example"):
                reply = await asked(agent, method, path, origin)
                assert (reply.status, reply.code) == (403, "forbidden"), (path, origin)
            for origin in (SHOP, "http://x"):  # the Host header of these requests
                assert (await asked(agent, method, path, origin)).status != 403
        assert here.startswith("http://127.0.0.1")
        assert (await exchange(agent, request("PUT", "/v1/apps/gate", APP))).status == 200


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example:443", "https://shop.example"),
        ("http://shop.example:8080", "http://shop.example:8080"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_as_browsers_write_it(text: str, found: str) -> None:
    assert parse_origin(text) == found


@pytest.mark.parametrize(
    "text",
    [
        *("*", "null", "", "shop.example", "https://", "https://a/b", "ftp://a", "https://u@a"),
        *("https://a?b", "https://a:port", "http://["),
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no origin"):
        parse_origin(text)
