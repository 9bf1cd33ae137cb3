"""An agent and its gateways under TLS, and certificates that change while both serve."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.agent import Agent
from edge_agent.config import EdgeConfig
from edge_agent.link import LinkTls, round_trip_ms
from edge_agent.tls import AgentTls
from edge_agent.upstream import Answered, GrpcUpstream, Refused
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, Task
from hawkvision.serving.tls import ClientTls
from hawkvision.serving.upstreams.dialer import Dialer
from tests.certificates import Authority, Signed
from tests.edge_agent.agents import gateway_of, started
from tests.edge_agent.scripted import call
from tests.models import coloured_jpeg
from tests.processes import edge, free_port

NAMES = "IP:127.0.0.1,DNS:localhost"
IMAGE = coloured_jpeg("red")


@pytest.fixture(scope="module")
def task(tiny_repository: Path) -> Task:
    return Repository(tiny_repository).open("tiny")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def agent(ours: Authority) -> Signed:
    return ours.sign("agent", "DNS:agent-1")


def of_gateway(ours: Authority, **more: Any) -> dict[str, Any]:
    files = {"tls_cert": ours.certificate, "tls_key": ours.key, "tls_client_ca": ours.ca}
    return files | more


def to_gateway(ours: Authority, shows: Signed | None) -> ClientTls:
    if shows is None:
        return ClientTls(ours.ca)
    return ClientTls(ours.ca, shows.certificate, shows.key)


@asynccontextmanager
async def up(address: str, tls: ClientTls) -> AsyncIterator[GrpcUpstream]:
    """What an agent asks through."""
    dialer = Dialer(tls.watched("--gateway"), tls.name)
    upstream = GrpcUpstream([address], 64, None, dialer)
    try:
        yield upstream
    finally:
        await upstream.close()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


async def asked(upstream: GrpcUpstream, task: Task) -> Answered | Refused:
    return await upstream.ask(call(task, image=IMAGE))


async def test_who_shows_the_right_certificate_is_answered(
    tiny_repository: Path, task: Task, ours: Authority, agent: Signed
) -> None:
    async with (
        gateway_of(tiny_repository, **of_gateway(ours, allow_clients=("agent-1",))) as address,
        up(address, to_gateway(ours, agent)) as upstream,
    ):
        assert isinstance(await asked(upstream, task), Answered)


async def test_a_gateway_may_be_known_by_another_name_than_its_host(
    tiny_repository: Path, task: Task, ours: Authority, agent: Signed
) -> None:
    far = ours.sign("far", "DNS:dc.example")
    files = of_gateway(ours, tls_cert=far.certificate, tls_key=far.key)
    async with gateway_of(tiny_repository, **files) as address:
        shown = to_gateway(ours, agent)
        async with up(address, shown) as upstream:
            assert isinstance(await asked(upstream, task), Refused)
        named = ClientTls(shown.ca, shown.cert, shown.key, "dc.example")
        async with up(address, named) as upstream:
            assert isinstance(await asked(upstream, task), Answered)


def sides(
    what: str, ours: Authority, agent: Signed, folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of a gateway and of an agent that do not go together."""
    theirs: dict[str, Any] = of_gateway(ours)
    mine: dict[str, Any] = {
        "gateway_ca": ours.ca,
        "gateway_cert": agent.certificate,
        "gateway_key": agent.key,
    }
    if what == "nothing shown":
        mine = {"gateway_ca": ours.ca}
    elif what in ("a stranger's", "expired"):
        stranger = Authority.make(folder) if what == "a stranger's" else ours
        one = stranger.sign("late-agent", days=2 if what == "a stranger's" else -1)
        mine |= {"gateway_cert": one.certificate, "gateway_key": one.key}
    elif what == "not allowed":
        theirs["allow_clients"] = ("agent-2",)
    elif what == "another authority":
        mine["gateway_ca"] = Authority.make(folder).ca
    elif what in ("another name", "gateway's expired"):
        late = what == "gateway's expired"
        one = ours.sign("odd", NAMES if late else "DNS:dc.example", days=-1 if late else 2)
        theirs |= {"tls_cert": one.certificate, "tls_key": one.key}
    elif what == "gateway without TLS":
        theirs = {}
    elif what == "agent without TLS":
        mine = {}
    return theirs, mine


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nothing shown", r"it hangs up as we show no certificate"),
        ("a stranger's", r"it hangs up once it has our certificate"),
        ("expired", r"our \S*late-agent.pem: certificate has expired"),
        ("not allowed", r"PERMISSION_DENIED: forbidden: no client of this name"),
        ("another authority", r"its certificate is not accepted: unable to get local issuer"),
        ("another name", r"its certificate is not accepted: Hostname mismatch|IP address mismatch"),
        ("gateway's expired", r"its certificate is not accepted: certificate has expired"),
        ("gateway without TLS", r"it does not speak TLS"),
        ("agent without TLS", r"it speaks TLS, and is spoken to in the clear"),
    ],
)
async def test_why_a_gateway_is_not_spoken_to_is_told_once_and_the_edge_answers(
    tiny_repository: Path,
    ours: Authority,
    agent: Signed,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    what: str,
    said: str,
) -> None:
    theirs, mine = sides(what, ours, agent, tmp_path)
    with caplog.at_level(logging.WARNING):
        async with (
            gateway_of(tiny_repository, **theirs) as address,
            started(tiny_repository, gateway=address, **mine) as running,
        ):
            await until_said(running, said)
            for _ in range(30):
                reply = await escalated(running)
                assert reply["degraded"] in ("dc_unreachable", "deadline")
            status = running.upstream.gateways()[0]
            assert re.search(said, status.reason)
    lines = [one.getMessage() for one in caplog.records if re.search(said, one.getMessage())]
    assert len(lines) == 1


async def until_said(running: Agent, said: str) -> None:
    """Ask until the gateway's state says why."""
    async with asyncio.timeout(60):
        while not re.search(said, running.upstream.gateways()[0].reason):
            await escalated(running)
            await asyncio.sleep(0.01)


async def escalated(running: Agent, **options: Any) -> dict[str, Any]:
    """The answer to an image that the first rung is not sure of."""
    top = next(iter(running.tasks.values())).policy.highest_certifiable
    url = f"{running.url}/v1/classify?accuracy={int(top * 1000) / 1000}"
    async with aiohttp.ClientSession() as session:
        for seed in range(40):
            image = coloured_jpeg("grey", seed=seed)
            async with session.post(url, data=image, **options) as reply:
                assert reply.status == 200
                found: dict[str, Any] = await reply.json()
            if found["escalated"] or found["degraded"]:
                return found
    raise AssertionError("no image was escalated")


async def test_a_renewed_client_certificate_is_shown_from_then_on_and_no_answer_is_lost(
    tiny_repository: Path, ours: Authority, tmp_path: Path
) -> None:
    """The gateway trusts another authority with each renewal; what runs ends where it began."""
    others = Authority.make(tmp_path)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(ours.ca.read_bytes() + others.ca.read_bytes())
    mine = ours.sign("mine", "DNS:agent-1").copy(tmp_path / "mine")
    theirs = of_gateway(ours, tls_client_ca=trusted, watch_certificates=0.02)
    async with (
        gateway_of(tiny_repository, **theirs) as address,
        started(
            tiny_repository,
            gateway=address,
            gateway_ca=ours.ca,
            gateway_cert=mine.certificate,
            gateway_key=mine.key,
            watch_certificates=0.0,
            deadline_ms=60_000.0,
        ) as running,
    ):
        degraded: list[Any] = []
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                degraded.append((await escalated(running))["degraded"])

        asking = [asyncio.create_task(load()) for _ in range(3)]
        channel = channel_of(running)
        await eventually(lambda: _is(len(degraded) > 10))
        mine.replace_with(others.sign("mine", "DNS:agent-1"))
        running.reload()
        await eventually(lambda: _is(channel_of(running) is not channel))
        seen = len(degraded)
        trusted.write_bytes(others.ca.read_bytes())  # the former one is not enough any more
        await eventually(lambda: _is(len(degraded) > seen + 20))
        stop.set()
        await asyncio.gather(*asking)
        assert set(degraded) == {None}
        async with up(address, to_gateway(ours, ours.sign("late-comer"))) as refused:
            task = next(iter(running.tasks.values())).task
            await eventually(lambda: _refused(refused, task))


async def _is(value: bool) -> bool:
    return value


async def _refused(upstream: GrpcUpstream, task: Task) -> bool:
    return isinstance(await asked(upstream, task), Refused)


def channel_of(running: Agent) -> object:
    [connection] = running.upstream.client._connections.values()
    return connection._channel


async def test_the_round_trip_is_measured_under_tls(
    tiny_repository: Path, ours: Authority, agent: Signed
) -> None:
    async with gateway_of(tiny_repository, **of_gateway(ours)) as address:
        watched = to_gateway(ours, agent).watched("--gateway")
        assert watched is not None
        found = await asyncio.to_thread(round_trip_ms, address, tls=LinkTls(watched.context))
        in_the_clear = await asyncio.to_thread(round_trip_ms, address, 0.3)
    assert found is not None and found > 0
    assert in_the_clear is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gateway_cert": "agent.pem"}, "need --gateway-ca"),
        ({"gateway_ca": "ca.pem", "gateway_cert": "agent.pem"}, "belong together"),
        ({"gateway_ca": "agent.key"}, "agent.key"),
        ({"tls_key": "server.key"}, "--tls-key without --tls-cert"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(
    ours: Authority, agent: Signed, given: dict[str, str], said: str
) -> None:
    files = {name: ours.ca.parent / value for name, value in given.items()}
    with pytest.raises(HawkVisionError, match=said):
        AgentTls(EdgeConfig(**files))  # type: ignore[arg-type]


# The agent's own ports.


async def der_of(port: int, ca: Path) -> bytes:
    """What a new connection is shown."""
    context = ssl.create_default_context(cafile=str(ca))
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    try:
        secure = writer.get_extra_info("ssl_object")
        return bytes(secure.getpeercert(binary_form=True))
    finally:
        writer.close()


def _der(one: Signed) -> bytes:
    return ssl.PEM_cert_to_DER_cert(one.certificate.read_text("ascii"))


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_renews_https_of_every_worker_under_load_and_no_request_is_lost(
    tiny_repository: Path, ours: Authority, tmp_path: Path, workers: int
) -> None:
    files = ours.sign(f"before-{workers}", NAMES).copy(tmp_path / "used")
    new = ours.sign(f"after-{workers}", NAMES)
    former = _der(files)
    options = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    options += ["--watch-certificates", "0", "--workers", str(workers), "--store", "off"]
    with edge(tiny_repository, f"127.0.0.1:{free_port()}", *options) as service:
        asyncio.run(_renewed(service, files, new, ours, former))
        assert service.terminate() == 0


async def _renewed(
    service: Any, files: Signed, new: Signed, ours: Authority, former: bytes
) -> None:
    assert await der_of(service.port, ours.ca) == former
    url = f"https://localhost:{service.port}/v1/classify?accuracy=0.3"
    trusting = ssl.create_default_context(cafile=str(ours.ca))
    statuses: list[int] = []
    stop = asyncio.Event()

    async def load(*, anew: bool) -> None:
        connector = aiohttp.TCPConnector(ssl=trusting, force_close=anew)
        async with aiohttp.ClientSession(connector=connector) as session:
            while not stop.is_set():
                async with session.post(url, data=IMAGE) as reply:
                    statuses.append(reply.status)

    asking = [asyncio.create_task(load(anew=anew)) for anew in (True, True, False)]
    await eventually(lambda: _is(len(statuses) > 20))
    files.replace_with(new)
    service.process.send_signal(signal.SIGHUP)

    async def all_new() -> bool:
        found = [await der_of(service.port, ours.ca) for _ in range(12)]
        return set(found) == {_der(new)}

    await eventually(all_new)
    seen = len(statuses)
    await eventually(lambda: _is(len(statuses) > seen + 20))
    stop.set()
    await asyncio.gather(*asking)
    assert set(statuses) == {200}


async def test_https_and_grpc_take_new_files_that_nobody_told_of(
    tiny_repository: Path, ours: Authority, tmp_path: Path
) -> None:
    files = ours.sign("own-before", NAMES).copy(tmp_path / "used")
    tls = {"tls_cert": files.certificate, "tls_key": files.key}
    async with started(tiny_repository, grpc_port=0, watch_certificates=0.02, **tls) as running:
        new = ours.sign("own-after", NAMES)
        files.replace_with(new)
        port = int(running.url.rpartition(":")[2])
        assert running.grpc_port is not None
        for one in (port, running.grpc_port):

            async def is_new(one: int = one) -> bool:
                return await der_of(one, ours.ca) == _der(new)

            await eventually(is_new)
