"""A store whose certificates and password stand in files, and change while it is in use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hawkvision.errors import HawkVisionError, InvalidRequest, StoreUnavailable
from hawkvision.tracking.records import Batch
from hawkvision.tracking.store.access import StoreAccess
from hawkvision.tracking.store.redis import RedisStore
from hawkvision.tracking.store.registry import open_store
from tests.certificates import Authority
from tests.redis_sentinel import Watched
from tests.redis_server import RedisServer
from tests.tracking.store.test_redis_access import (
    KEY,
    PASSWORD,
    USER,
    least_rights,
    tls_access,
    tls_options,
    works,
)

PATIENT_S = 30.0
"""A busy machine answers late; how long a store waits is not what is tested here."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ours"))


@pytest.fixture
def secured(tmp_path: Path, ours: Authority) -> Iterator[RedisServer]:
    """A server that asks for a certificate and for a user with a password."""
    path = tmp_path / "users.acl"
    path.write_text(f"user default on nopass ~* &* +@all\n{least_rights()}\n")
    options = [*tls_options(ours, "yes"), "--aclfile", str(path)]
    server = RedisServer(tmp_path / "redis", *options, access=tls_access(ours))
    yield server
    server.kill()


def url_of(server: RedisServer) -> str:
    return f"rediss://{USER}@localhost:{server.port}/0"


@pytest.fixture
def access(tmp_path: Path, ours: Authority) -> StoreAccess:
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    one = ours.sign("store-client", "DNS:agent-1").copy(tmp_path / "mine")
    return StoreAccess(ours.ca, one.certificate, one.key, password)


async def test_everything_that_is_secret_may_stand_in_files(
    secured: RedisServer, access: StoreAccess
) -> None:
    assert isinstance(open_store(url_of(secured), access), RedisStore)
    store = RedisStore.open(url_of(secured), access=access, timeout_s=PATIENT_S)
    await works(store)
    await store.close()


async def test_under_a_sentinel_too(tmp_path: Path, ours: Authority, access: StoreAccess) -> None:
    files = {
        "tls-cert-file": ours.certificate,
        "tls-key-file": ours.key,
        "tls-ca-cert-file": ours.ca,
        "tls-auth-clients": "yes",
        "tls-replication": "yes",
    }
    path = tmp_path / "users.acl"
    path.write_text(f"user default on nopass ~* &* +@all\n{least_rights()}\n")
    servers = [word for name, value in files.items() for word in (f"--{name}", str(value))]
    watched = Watched(
        tmp_path,
        *servers,
        *("--aclfile", str(path)),
        access=tls_access(ours),
        guard=tuple(f"{name} {value}" for name, value in files.items()),
        guard_access=tls_access(ours),
    )
    try:
        url = watched.url.replace("redis+", "rediss+").replace("://", f"://{USER}@")
        store = RedisStore.open(url, access=access, timeout_s=PATIENT_S)
        await works(store)
        await store.close()
    finally:
        watched.kill()


async def test_a_password_and_a_certificate_are_renewed_under_load_and_nothing_is_lost(
    secured: RedisServer, access: StoreAccess, ours: Authority, tmp_path: Path
) -> None:
    store = RedisStore.open(url_of(secured), access=access, timeout_s=PATIENT_S)
    assert store.files is not None
    added, stop = 0, asyncio.Event()

    async def load() -> None:
        nonlocal added
        while not stop.is_set():
            await store.add(Batch(f"b{added}", 0.0, {KEY: {"answers/edge/0": 1.0}}))
            added += 1

    async def more() -> None:
        seen = added
        async with asyncio.timeout(60):
            while added < seen + 20:
                await asyncio.sleep(0.01)

    others = Authority.make(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(ours.ca.read_bytes() + others.ca.read_bytes())
    adding = asyncio.create_task(load())
    await more()
    with secured.client() as client:
        client.config_set("tls-ca-cert-file", str(both))
        client.execute_command("ACL", "SETUSER", USER, ">renewed")
        new = others.sign("store-client", "DNS:agent-1")
        assert access.cert and access.key and access.password_file
        access.password_file.write_text("renewed")
        access.key.write_bytes(new.key.read_bytes())
        await store.files.look()  # half of it: the former stay
        await more()
        access.cert.write_bytes(new.certificate.read_bytes())
        await store.files.look()
        await more()
        await asyncio.sleep(0.05)
        client.execute_command("ACL", "SETUSER", USER, f"<{PASSWORD}")
    # Another one that comes now has nothing but what is new.
    stop.set()
    await adding
    await store.close()
    fresh = RedisStore.open(url_of(secured), access=access, timeout_s=PATIENT_S)
    found = await fresh.counts("signs", window_s=300)
    await fresh.close()
    assert found == {KEY: {"answers/edge/0": float(added)}}


async def test_files_that_do_not_fit_are_said_once_and_the_former_stay(
    secured: RedisServer, access: StoreAccess, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore.open(url_of(secured), access=access, timeout_s=PATIENT_S)
    assert store.files is not None and access.password_file is not None
    access.password_file.write_text("")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await store.files.look(closely=True)
    assert await store.apps() == []
    await store.close()
    assert [one.getMessage() for one in caplog.records] == [
        f"the store's files: the former stay in use: --store-password-file "
        f"{access.password_file}: it is empty"
    ]


@pytest.mark.parametrize(
    ("url", "given", "said"),
    [
        ("redis://h", {"ca": "ca.pem"}, "are for TLS"),
        ("rediss://h?ssl_ca_certs=x", {"ca": "ca.pem"}, "in the URL and in an option"),
        ("rediss://h", {"key": "server.key"}, "--store-key without --store-cert"),
        ("rediss://h", {"cert": "server.pem", "key": "ca.key"}, "server.pem: .*mismatch"),
        ("rediss://h", {"ca": "away.pem"}, "there is no file"),
        ("redis://:hunter2@h", {"password_file": "ca.pem"}, "in --store-password-file"),
        ("redis://h", {"password_file": "away"}, "No such file"),
        ("memory", {"password_file": "ca.pem"}, "are for a store in Redis"),
    ],
)
def test_what_cannot_be_is_refused_and_no_secret_is_said(
    ours: Authority, url: str, given: dict[str, str], said: str
) -> None:
    paths: dict[str, Any] = {name: ours.ca.parent / value for name, value in given.items()}
    with pytest.raises(HawkVisionError, match=said) as caught:
        open_store(url, StoreAccess(**paths))
    assert "hunter2" not in str(caught.value)


async def test_no_error_holds_the_password_of_a_file(
    secured: RedisServer, access: StoreAccess
) -> None:
    assert access.password_file is not None
    access.password_file.write_text("hunter2")
    store = RedisStore.open(url_of(secured), access=access, timeout_s=PATIENT_S)
    with pytest.raises(StoreUnavailable, match="refuses its user") as caught:
        await store.apps()
    await store.close()
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"
    access.password_file.write_bytes(b"\xff")
    with pytest.raises(InvalidRequest, match="no text in UTF-8"):
        RedisStore.open(url_of(secured), access=access)
