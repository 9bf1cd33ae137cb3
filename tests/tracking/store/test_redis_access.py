"""TLS and users with limited rights: on one server, under a Sentinel, in a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import (
    AgentInfo,
    AppTarget,
    Batch,
    Change,
    CountKey,
    ThresholdState,
)
from hawkvision.tracking.store.redis import RedisStore
from tests.certificates import Authority
from tests.redis_cluster import RedisCluster
from tests.redis_sentinel import Watched
from tests.redis_server import RedisServer

PASSWORD = "p@ss/w:rd%#?"
"""Every character that a URL needs escaped."""

USER = "fleet"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "operate.md"


def least_rights() -> str:
    """As the documentation gives them, with our password."""
    found = re.search(rf"```text\n(user {USER} on .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return " ".join(found[1].split()).replace(">PASSWORD", f">{PASSWORD}")


KEY = CountKey("signs", "", "0.9")


async def works(store: RedisStore) -> None:
    """Every call once, and what is published is heard."""
    heard = asyncio.create_task(_hear(store))
    end = asyncio.get_running_loop().time() + 30
    while not heard.done():
        assert asyncio.get_running_loop().time() < end
        await store.put_app(AppTarget("gate", "signs", "0.9"))
        await asyncio.sleep(0.05)
    assert heard.result() == "apps"
    cursor = (await store.since("signs", None)).cursor
    await store.add(Batch("a", 0.0, {KEY: {"answers/edge/0": 1.0}}))
    assert (await store.since("signs", cursor)).counts == {KEY: {"answers/edge/0": 1.0}}
    assert await store.counts("signs", window_s=300) == {KEY: {"answers/edge/0": 1.0}}
    fence = await store.take_lead("signs", "a", 60)
    assert fence is not None
    state = ThresholdState("0.9", 0.5, "steering", fence, 0.0)
    await store.put_thresholds("signs", [state], fence)
    assert await store.thresholds("signs") == {"0.9": state}
    await store.heartbeat(AgentInfo("a", "http://a", (), 0.0, 0.0), 60)
    await store.heartbeat(AgentInfo("b", "http://b", (), 0.0, 0.0), 0.001)
    await asyncio.sleep(0.05)
    assert [agent.agent_id for agent in await store.agents()] == ["a"]
    assert [app.app for app in await store.apps()] == ["gate"]
    assert await store.delete_app("gate")
    assert await store.claim("signs", "r", 60)
    await store.put_note("update", "a", "passed")
    assert await store.notes("update") == {"a": "passed"}
    assert await store.secret(b"s") == b"s"


async def _hear(store: RedisStore) -> str:
    changes = cast(AsyncGenerator[Change, None], store.changes())
    async with contextlib.aclosing(changes):
        return (await anext(changes)).what


async def opened(url: str) -> None:
    store = RedisStore.open(url, timeout_s=5.0)
    try:
        await works(store)
    finally:
        await store.close()


def with_user(url: str) -> str:
    return url.replace("://", f"://{USER}:{quote(PASSWORD, safe='')}@")


@pytest.fixture
def acl(tmp_path: Path) -> tuple[str, str]:
    """Options of a server on which nobody but the user can do anything with data."""
    path = tmp_path / "users.acl"
    path.write_text(f"user default on nopass ~* &* +@all\n{least_rights()}\n")
    return "--aclfile", str(path)


async def test_a_user_with_the_least_rights_is_enough(tmp_path: Path, acl: tuple[str, str]) -> None:
    server = RedisServer(tmp_path / "redis", *acl)
    try:
        await opened(with_user(server.url))
    finally:
        server.kill()


async def test_a_user_with_the_least_rights_is_enough_in_a_cluster(
    tmp_path: Path, acl: tuple[str, str]
) -> None:
    cluster = RedisCluster(tmp_path, *acl)
    try:
        await opened(with_user(cluster.url))
    finally:
        cluster.kill()


async def test_a_database_is_used(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    try:
        await opened(server.url.removesuffix("/0") + "/5")
        with server.client() as client:
            assert set(client.info("keyspace")) == {"db5"}
    finally:
        server.kill()


async def test_behind_a_sentinel_user_password_and_database_hold(
    tmp_path: Path, acl: tuple[str, str]
) -> None:
    """The Sentinel has a user of its own."""
    watched = Watched(
        tmp_path,
        *acl,
        guard=(
            f'user guest on ">{PASSWORD}" -@all +sentinel',
            "user default on nopass ~* &* +@all",
        ),
    )
    try:
        secret = quote(PASSWORD, safe="")
        url = f"{with_user(watched.url)}/3?sentinel_username=guest&sentinel_password={secret}"
        await opened(url)
        with watched.primary().client() as client:
            assert set(client.info("keyspace")) == {"db3"}
        wrong = url.replace("sentinel_password=", "sentinel_password=x")
        with pytest.raises(StoreUnavailable):
            await opened(wrong)
    finally:
        watched.kill()


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ours"))


def tls_options(one: Authority, clients: str = "no") -> list[str]:
    return [
        *("--tls-cert-file", str(one.certificate), "--tls-key-file", str(one.key)),
        *("--tls-ca-cert-file", str(one.ca), "--tls-auth-clients", clients),
    ]


def tls_access(one: Authority) -> dict[str, Any]:
    return {
        "ssl": True,
        "ssl_ca_certs": str(one.ca),
        "ssl_certfile": str(one.certificate),
        "ssl_keyfile": str(one.key),
    }


def secure(url: str, one: Authority) -> str:
    return f"{url.replace('redis', 'rediss', 1)}?ssl_ca_certs={one.ca}"


@pytest.fixture
def secured(tmp_path: Path, authority: Authority) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, *tls_options(authority), access=tls_access(authority))
    yield server
    server.kill()


async def test_tls_with_an_authority_of_one_s_own(
    secured: RedisServer, authority: Authority
) -> None:
    await opened(secure(secured.url, authority))


async def test_a_server_that_nobody_vouches_for_is_not_trusted(secured: RedisServer) -> None:
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate|ssl"):
        await opened(secured.url.replace("redis", "rediss", 1))
    await opened(secured.url.replace("redis", "rediss", 1) + "?ssl_cert_reqs=none")


async def test_a_certificate_must_be_the_host_s(tmp_path: Path) -> None:
    other = Authority.make(tmp_path, "DNS:elsewhere.example")
    server = RedisServer(tmp_path / "redis", *tls_options(other), access=_unchecked(other))
    try:
        with pytest.raises(StoreUnavailable):
            await opened(secure(server.url, other))
        await opened(secure(server.url, other) + "&ssl_check_hostname=false")
    finally:
        server.kill()


def _unchecked(one: Authority) -> dict[str, Any]:
    return {**tls_access(one), "ssl_check_hostname": False}


async def test_a_server_may_ask_for_our_certificate(tmp_path: Path, authority: Authority) -> None:
    server = RedisServer(tmp_path, *tls_options(authority, "yes"), access=tls_access(authority))
    try:
        url = secure(server.url, authority)
        with pytest.raises(StoreUnavailable):
            await opened(url)
        await opened(f"{url}&ssl_certfile={authority.certificate}&ssl_keyfile={authority.key}")
    finally:
        server.kill()


async def test_tls_in_a_cluster(tmp_path: Path, authority: Authority) -> None:
    options = [*tls_options(authority), "--tls-cluster", "yes"]
    cluster = RedisCluster(tmp_path, *options, access=tls_access(authority))
    try:
        await opened(secure(cluster.url, authority))
    finally:
        cluster.kill()


async def test_tls_under_a_sentinel_and_to_it(tmp_path: Path, authority: Authority) -> None:
    files = {
        "tls-cert-file": authority.certificate,
        "tls-key-file": authority.key,
        "tls-ca-cert-file": authority.ca,
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }
    watched = Watched(
        tmp_path,
        *(word for name, value in files.items() for word in (f"--{name}", str(value))),
        access=tls_access(authority),
        guard=tuple(f"{name} {value}" for name, value in files.items()),
        guard_access=tls_access(authority),
    )
    try:
        await opened(secure(watched.url, authority))
    finally:
        watched.kill()


# Secrets.


async def test_no_message_and_no_line_of_the_log_holds_a_password(
    tmp_path: Path, acl: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = RedisServer(tmp_path / "redis", *acl)
    secret = "hunter2"
    address = f"127.0.0.1:{server.port}"
    urls = [
        f"redis://{USER}:{secret}@{address}",
        f"redis+cluster://{USER}:{secret}@{address}",
        f"redis+sentinel://{USER}:{secret}@{address}/s?sentinel_password={secret}",
    ]
    try:
        for url in urls:
            store = RedisStore.open(url, timeout_s=2.0)
            with pytest.raises(StoreUnavailable, match=r"(?i)auth|password") as caught:
                await store.apps()
            await store.close()
            assert secret not in f"{caught.value}{caught.value.hint}{caught.value.__cause__}"
        server.kill()
        for url in urls:
            store = RedisStore.open(url, timeout_s=2.0)
            with pytest.raises(StoreUnavailable) as caught:
                await store.apps()
            await store.close()
            assert secret not in f"{caught.value}"
    finally:
        server.kill()
    assert secret not in caplog.text


async def test_what_may_not_be_stored_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    path.write_text(f"user default on nopass ~* &* +@all\n{least_rights().replace('+set ', '')}\n")
    server = RedisServer(tmp_path / "redis", "--aclfile", str(path))
    try:
        store = RedisStore.open(with_user(server.url), timeout_s=5.0)
        with pytest.raises(StoreUnavailable, match=r"(?i)permission") as caught:
            await store.secret(b"hunter2")
        await store.close()
        assert "hunter2" not in str(caught.value)
    finally:
        server.kill()
