"""With TLS and keys at every door and logs at debug, no secret is logged, counted or answered."""

from __future__ import annotations

import asyncio
import secrets
import ssl

import aiohttp
import pytest

from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of, new_key, parse_keys
from hawkvision.serving.access.scopes import GRANTED
from hawkvision.tracking.store.access import StoreAccess
from hawkvision.tracking.store.redis import RedisStore
from tests.attack.access import Doors
from tests.attack.deployment import Deployment, deployed
from tests.attack.runner import Pauses, Runner
from tests.processes import HANGS_S
from tests.tracking.store.test_redis_access import PASSWORD

QUICK = Pauses(settle_s=1.0, least_quiet_s=0.5, calm_s=0.2, nice=0)
_GUESSED = "hvk_guessed-" + secrets.token_urlsafe(24)


async def signing_key(deployment: Deployment, doors: Doors) -> bytes:
    """What request ids are signed with, as the store has it."""
    pair = doors.edge.certificate, doors.edge.key
    access = StoreAccess(doors.authority.ca, *pair, doors.password)
    store = RedisStore.open(deployment.store, access=access, timeout_s=30.0)
    try:
        return await store.secret(b"none of theirs")
    finally:
        await store.close()


async def asked(
    deployment: Deployment, operator: str, tls: ssl.SSLContext
) -> tuple[list[str], dict[str, str]]:
    """What both services say to an operator and to a stranger; a stream's secrets."""
    said, streams = [], {}
    both = (deployment.target.url, ("/metrics", "/v1/gateways", "/v1/agents", "/v1/apps"))
    rest = (deployment.target.at_rest.url, ("/metrics", "/v2", "/v2/models/none"))
    connector = aiohttp.TCPConnector(ssl=tls)
    async with aiohttp.ClientSession(connector=connector) as session:
        operators = {"X-API-Key": operator}
        async with asyncio.timeout(60):  # until the agent has looked at its keys again
            while (await session.get(f"{both[0]}/v1/tasks", headers=operators)).status != 200:
                await asyncio.sleep(0.1)
        for url, paths in (both, rest):
            for path in (*paths, "/v1/streams/none", "/v1/apps/none", "/openapi.json"):
                for key in (operator, _GUESSED):
                    async with session.get(url + path, headers={"X-API-Key": key}) as reply:
                        said.append(f"{reply.headers}{await reply.text()}")
        path = f"{deployment.target.url}/v1/streams"
        async with session.post(path, headers=operators) as reply:
            opened = await reply.json()
        assert reply.status == 201
        streams = {"a stream's id": opened["id"], "a stream's key": opened["key"]}
        async with session.get(f"{path}/{opened['id']}x", headers=operators) as reply:
            said.append(await reply.text())
        async with session.delete(f"{path}/{opened['id']}", headers=operators) as reply:
            assert reply.status == 204
    return said, streams


def found_in(text: str, hidden: dict[str, str]) -> list[str]:
    return [name for name, secret in hidden.items() if secret in text]


@pytest.mark.timeout(HANGS_S)
async def test_no_secret_leaves_a_deployment_that_has_everything_on() -> None:
    with deployed(secure=True, log_level="debug") as deployment:
        doors = deployment.files
        assert doors is not None
        operator = new_key()
        kept = parse_keys(doors.keys.read_text()).keys
        mine = Key("operator", digest_of(operator), frozenset(GRANTED), None)
        store_keys(doors.keys, KeyFile((*kept, mine)))
        runner = Runner(deployment, QUICK)
        said, streams = await asked(deployment, operator, doors.access.context("normal"))
        for name in ("key-guesses", "key-misuse", "key-calls", "tls-strangers", "streams"):
            phase = runner.attack(name, 2.0)
            assert phase.leaked == []
            assert phase.tracebacks == []
        assert all(service.alive for service in deployment.services)
        signing = await signing_key(deployment, doors)
        logged = "".join(line for one in deployment.services for line in one.child.said)
        logged += doors.audit_log.read_text()
        tls_key = doors.server.key.read_text().splitlines()[1]
    assert signing != b"none of theirs"
    hidden = {
        **deployment.secrets,
        **streams,
        "the operator's key": operator,
        "its hash": digest_of(operator).hex(),
        "a wrong key": _GUESSED,
        "the store's password": PASSWORD,
        "the key of request ids": signing.hex(),
        "the same as Python writes it": repr(signing)[2:-1],
        "the TLS key of the doors": tls_key,
    }
    assert all(len(one) >= len(PASSWORD) > 5 for one in hidden.values())
    assert " DEBUG " in logged
    assert '"denied"' in logged
    assert found_in(logged, hidden) == []
    assert found_in("".join(said), hidden) == []
    assert any("hawkvision_errors_total" in one for one in said)
