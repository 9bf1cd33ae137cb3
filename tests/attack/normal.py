"""The normal client's process: `python -m tests.attack.normal TARGET`.

Open loop: requests go out by the clock, whatever became of those before, and latency is measured
from the moment at which one was due. A tenth of the HTTP requests takes a new connection, the rest
keeps theirs. It prints `{"ssrc": …}` once, then a line of JSON for every result:
[door, due (CLOCK_MONOTONIC, s), latency in ms, outcome, why the answer is degraded or null].
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import grpc
import grpc.aio

from hawkvision import roadsigns
from hawkvision.client.lossy import LossyStream
from hawkvision.errors import HawkVisionError
from hawkvision.oip import open_inference_pb2_grpc as services
from hawkvision.oip.inference import build_request
from tests.attack.attack import Target

HTTP_RATE, GRPC_RATE, STREAM_RATE, REST_RATE, AGENT_RATE = 25.0, 4.0, 4.0, 4.0, 4.0
TARGETS = ("0.79", "0.85", "0.91", "0.97", "relative:0.05")
TIMEOUT_S = 5.0
_IMAGES = 8

Outcome = tuple[str, str | None]


async def at_rate(door: str, rate: float, ask: Callable[[int], Awaitable[Outcome]]) -> None:
    """Call `ask` so often a second, for ever, and print what came of each."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(number: int, due: float) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                outcome, degraded = await ask(number)
        except TimeoutError:
            outcome, degraded = "timeout", None
        except Exception as error:
            outcome, degraded = type(error).__name__, None
        took_ms = round(1e3 * (time.monotonic() - due), 2)
        print(json.dumps([door, round(due, 4), took_ms, outcome, degraded]), flush=True)

    begun = time.monotonic()
    for number in itertools.count():
        due = begun + number / rate
        await asyncio.sleep(due - time.monotonic())
        task = asyncio.create_task(one(number, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _session(target: Target, url: str) -> aiohttp.ClientSession:
    access = target.access
    tls = True if access is None else access.context("normal")
    keys = {} if access is None else {"X-API-Key": access.key}
    connector = aiohttp.TCPConnector(limit=0, ssl=tls)
    return aiohttp.ClientSession(url, connector=connector, headers=keys)


async def _over_http(target: Target, images: list[bytes]) -> None:
    async with _session(target, target.url) as session:

        async def ask(number: int) -> Outcome:
            path = f"/v1/classify?accuracy={TARGETS[number % len(TARGETS)]}"
            fresh = {"Connection": "close"} if number % 10 == 0 else {}
            image = images[number % len(images)]
            async with session.post(path, data=image, headers=fresh) as reply:
                body = await reply.json()
                if reply.status == 200:
                    return "200", body["degraded"]
                known = "" if "Retry-After" in reply.headers else ", no Retry-After"
                return f"{reply.status} {body['error']['code']}{known}", None

        await at_rate("http", HTTP_RATE, ask)


async def _over_rest(target: Target, images: list[bytes]) -> None:
    """The gateway's HTTP port; an eighth on new connections."""
    async with _session(target, target.at_rest.url) as session:

        async def ask(number: int) -> Outcome:
            headers = {"Inference-Header-Content-Length": "0"}
            if number % 8 == 0:
                headers["Connection"] = "close"
            image = images[number % len(images)]
            path = "/v2/models/roadsigns/infer"
            async with session.post(path, data=image, headers=headers) as reply:
                body = await reply.read()
                return (str(reply.status) if reply.status == 200 else f"{body[:80]!r}"), None

        await at_rate("rest", REST_RATE, ask)


async def _over_grpc(target: Target, door: str, rate: float, images: list[bytes]) -> None:
    access = target.access
    metadata = [] if access is None else [("x-api-key", access.key)]
    channel = (
        grpc.aio.insecure_channel(target.gateway)
        if access is None
        else grpc.aio.secure_channel(target.gateway, access.credentials("normal"))
    )
    async with channel:
        stub = services.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]

        async def ask(number: int) -> Outcome:
            asked = build_request("roadsigns", "", str(number), images[number % len(images)])
            try:
                await stub.ModelInfer(asked, timeout=TIMEOUT_S, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return error.code().name, None
            return "200", None

        await at_rate(door, rate, ask)


async def _over_udp(target: Target, images: list[bytes]) -> None:
    asked = {"accuracy": "0.91", "deadline_ms": 1000.0}
    access = target.access
    shown = {} if access is None else {"key": access.key, "ca": access.ca}
    async with LossyStream.open(target.url, **shown, **asked) as stream:  # type: ignore[arg-type]
        print(json.dumps({"ssrc": stream.offer.ssrc, "udp": stream.offer.port}), flush=True)

        async def ask(number: int) -> Outcome:
            try:
                answer = (await stream.classify(images[number % len(images)])).answer
            except HawkVisionError as error:
                return error.code, None
            return "200", answer.degraded

        await at_rate("stream", STREAM_RATE, ask)


async def serve(target: Target) -> None:
    """All doors, until it is killed."""
    images = [sample.jpeg for sample in roadsigns.stream(_IMAGES, seed=3)]
    async with asyncio.TaskGroup() as group:
        group.create_task(_over_http(target, images))
        group.create_task(_over_grpc(target, "grpc", GRPC_RATE, images))
        group.create_task(_over_grpc(target.at_edge, "agent", AGENT_RATE, images))
        group.create_task(_over_rest(target, images))
        group.create_task(_over_udp(target, images))


if __name__ == "__main__":
    asyncio.run(serve(Target.parse(json.loads(sys.argv[1]))))
