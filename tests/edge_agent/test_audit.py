"""The audit log: who changed what and who was refused, bounded; no secret in it or elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from hawkvision.errors import HawkVisionError
from hawkvision.serving.access.audit import AuditLog
from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of
from hawkvision.serving.access.scopes import GRANTED, Scope
from tests.certificates import Authority
from tests.edge_agent.agents import exchange, request, started
from tests.edge_agent.grpc.test_servicer import client
from tests.models import coloured_jpeg
from tests.processes import HANGS_S

SECRET, WEAK = "hvk_the-key-of-the-operator-0123456789", "hvk_a-key-that-reads-0123456789"
WRONG = "hvk_a-key-that-nobody-knows-0123456789"
IMAGE = coloured_jpeg("red")
APP = json.dumps({"task": "tiny", "accuracy": 0.7}).encode()


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    operator = Key("operator", digest_of(SECRET), frozenset(GRANTED), None)
    reader = Key("reader", digest_of(WEAK), frozenset({Scope.READ}), None)
    store_keys(path, KeyFile((operator, reader)))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_changes_and_refusals_are_noted(
    tiny_repository: Path, tmp_path: Path, keys: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    async with started(tiny_repository, keys=keys, audit_log=path) as agent:
        await exchange(agent, request("PUT", "/v1/apps/gate", APP, bearer(SECRET)))
        await exchange(agent, request("PUT", "/v1/apps/gate", APP, bearer(WEAK)))
        await exchange(agent, request("GET", "/v1/tasks"))
        await exchange(agent, request("POST", "/v1/classify", IMAGE, bearer(WRONG)))
        load = "/v2/repository/models/none/load"
        await exchange(agent, request("POST", load, b"", bearer(SECRET)))
        await exchange(agent, request("POST", "/v1/streams", b"", bearer(SECRET)))
        await exchange(agent, request("DELETE", "/v1/apps/gate", b"", bearer(SECRET)))
        await exchange(agent, request("GET", "/v1/tasks", b"", bearer(WEAK)))  # changes nothing
    found = lines(path)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z", one.pop("time")) for one in found)
    assert all(re.fullmatch("[0-9a-f]{16}", one.pop("request")) for one in found)
    peer = {"127.0.0.1", "loopback"}
    assert all(one.pop("peer") in peer for one in found)
    short = [{name: one[name] for name in one if name != "why"} for one in found]
    done = {"key": "operator", "result": "done"}
    put, classify = "PUT /v1/apps/{app}", "POST /v1/classify"
    assert short == [
        {"event": "targets.stored", "app": "gate", **done},
        {"event": "denied", "key": None, "what": put, "code": "forbidden"},
        {"event": "denied", "key": None, "what": "GET /v1/tasks", "code": "unauthorized"},
        {"event": "denied", "key": None, "what": classify, "code": "unauthorized"},
        {"event": "models.loaded", "key": "operator", "result": "unknown_task", "task": "none"},
        {"event": "streams.opened", **done},
        {"event": "targets.deleted", "app": "gate", **done},
    ]
    assert "'reader'" in found[1]["why"]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_over_grpc_too(tiny_repository: Path, tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with client(tiny_repository, keys=keys, audit_log=path) as (_, caller):
        await caller.load_model("tiny", headers={"authorization": f"Bearer {SECRET}"})
        with pytest.raises(Exception, match="unauthorized"):
            await caller.load_model("tiny")
    loaded, denied = lines(path)
    assert (loaded["event"], loaded["key"], loaded["task"]) == ("models.loaded", "operator", "tiny")
    assert (denied["event"], denied["what"]) == ("denied", "RepositoryModelLoad")


async def test_new_keys_are_noted(tiny_repository: Path, tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with started(tiny_repository, keys=keys, audit_log=path) as agent:
        for text in (keys.read_text(), "[[key]]"):
            keys.write_text(text)
            agent.reload()
            async with asyncio.timeout(60):
                while not path.exists() or text[:8] == "[[key]]" or len(lines(path)) < 1:
                    await asyncio.sleep(0.02)
                    if path.exists() and text == "[[key]]" and len(lines(path)) > 1:
                        break
    events = [one["event"] for one in lines(path)]
    assert events[0] == "keys.reloaded" and "keys.broken" in events


async def test_without_a_file_the_log_has_it(
    tiny_repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hawkvision.audit")
    async with started(tiny_repository) as agent:
        await exchange(agent, request("PUT", "/v1/apps/gate", APP))
    (line,) = [one for one in caplog.records if one.name == "hawkvision.audit"]
    assert json.loads(line.getMessage())["event"] == "targets.stored"


async def test_a_file_that_cannot_be_written_ends_the_start(
    tiny_repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(HawkVisionError, match="audit log"):
        async with started(tiny_repository, audit_log=tmp_path / "none" / "audit.jsonl"):
            pass


def test_of_a_flood_of_refusals_some_are_noted_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path)
    for _ in range(100_000):
        audit.denied(key=None, peer="192.0.2.1", what="x" * 10_000, code="unauthorized")
    audit._full_at = 0.0  # a while later
    audit.denied(key=None, peer="192.0.2.1", what="last")
    audit.close()
    found = lines(path)
    assert 50 <= len(found) < 1000
    assert len(found) - 1 + sum(one.get("left_out", 0) for one in found) == 100_000
    assert max(len(str(one)) for one in found) < 1000


def test_a_full_queue_and_a_full_disk_are_counted_and_hold_up_nobody(tmp_path: Path) -> None:
    audit = AuditLog(Path("/dev/full"))
    for _ in range(5000):
        audit.note("targets.stored", key="a", peer="b")
    audit.close()
    assert audit.lost == 5000


def test_what_cannot_be_written_waits_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where attackers hold all descriptors for a while."""
    monkeypatch.setattr("hawkvision.serving.access.audit._AGAIN_S", 0.01)
    path = tmp_path / "later" / "audit.jsonl"
    audit = AuditLog(path)
    audit.note("targets.stored", key="a", peer="b", number=0)
    end = time.monotonic() + HANGS_S
    while not caplog.records:
        assert time.monotonic() < end
        time.sleep(0.01)
    audit.note("targets.stored", key="a", peer="b", number=1)
    path.parent.mkdir()
    while not path.exists() or len(lines(path)) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    audit.close()
    assert [one["number"] for one in lines(path)] == [0, 1]
    assert audit.lost == 0
    assert len([one for one in caplog.records if "the audit log" in one.getMessage()]) == 1


def test_a_file_that_is_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number in range(2):
        audit = AuditLog(path)
        audit.note("targets.stored", key="a\ud800", peer="b", number=number)
        audit.close()
        path.rename(tmp_path / f"old-{number}")
    assert [lines(tmp_path / f"old-{number}")[0]["number"] for number in range(2)] == [0, 1]


async def said_by(agent: Agent, key: str) -> list[bytes]:
    """All that an agent says to somebody with this key, or with one that is refused."""
    said = []
    for route in agent.routes:
        path = route.path
        for name, value in {"{app}": "gate", "{task}": "tiny", "{version}": "1"}.items():
            path = path.replace(name, value)
        if "{id}" in path or path.endswith(("/unload", "/v1/streams")):
            continue
        sent = request(route.method, path, APP, bearer(key))
        reply = await exchange(agent, sent)
        said.append(json.dumps(reply.headers).encode() + reply.body)
    return said


async def test_no_secret_is_said_logged_or_kept(
    tiny_repository: Path, tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys (those of the file, and one that is wrong), the store's password, TLS keys, streams' ids
    and keys, and the key that signs request ids."""
    caplog.set_level(logging.DEBUG)
    made = Authority.make(tmp_path)
    path = tmp_path / "audit.jsonl"
    options: dict[str, Any] = {"keys": keys, "audit_log": path, "tracking_interval_s": 0.05}
    async with started(tiny_repository, **options) as agent:
        opened = await exchange(agent, request("POST", "/v1/streams", b"", bearer(SECRET)))
        stream = opened.json
        said = [*await said_by(agent, SECRET), *await said_by(agent, WRONG)]
        for own in (SECRET, WRONG):
            sent = request("GET", f"/v1/streams/{stream['id']}x", b"", bearer(own))
            said.append((await exchange(agent, sent)).body)
        ended = request("DELETE", f"/v1/streams/{stream['id']}", b"", bearer(SECRET))
        assert (await exchange(agent, ended)).status == 204
        signing = agent.fleet.counting.key
        text = caplog.text.encode() + path.read_bytes() + b"".join(said)
    secrets = {
        "the operator's key": SECRET.encode(),
        "its hash": digest_of(SECRET).hex().encode(),
        "a wrong key": WRONG.encode(),
        "a stream's id": stream["id"].encode(),
        "a stream's key": stream["key"].encode(),
        "the key of request ids": signing,
        "the same in hexadecimal": signing.hex().encode(),
        "a TLS key": made.key.read_bytes().splitlines()[1],
    }
    assert all(len(one) > 7 for one in secrets.values())
    assert [name for name, one in secrets.items() if one in text] == []
    assert b"hawkvision_errors_total" in text and b"'reader'" not in text
