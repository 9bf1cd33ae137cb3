"""Requests that are well formed and ask for what is dear, endless or unknown."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from functools import lru_cache

from hawkvision import roadsigns
from tests.attack.attack import FAILURES, Attack, Pace, Tally, Target, crew
from tests.attack.http import Client, send, session
from tests.attack.wire import connection, lines

_LONG = "x" * 7000


@lru_cache(maxsize=1)
def picture() -> bytes:
    """One road sign."""
    return next(iter(roadsigns.stream(1, seed=5))).jpeg


async def _tiny_deadlines(target: Target, tally: Tally) -> None:
    image, turns = picture(), itertools.cycle((0.001, 1, 2, 3, 5, 8, 12))
    async with session(target) as client:

        async def once() -> None:
            path = f"/v1/classify?accuracy=0.97&deadline_ms={next(turns)}"
            await send(client, tally, "POST", path, data=image)

        await crew(8, once, tally, Pace(100))


async def _unknown(target: Target, tally: Tally) -> None:
    image, count = picture(), itertools.count()
    async with session(target) as client:

        async def once() -> None:
            number = next(count)
            paths = (
                ("POST", f"/v1/classify?task=none{number}"),
                ("POST", f"/v1/classify?app=none{number}"),
                ("GET", f"/v1/tasks/none{number}/curve"),
                ("GET", f"/v1/tasks/none{number}/accuracy"),
                ("GET", f"/v1/apps/none{number}/accuracy"),
                ("GET", f"/v1/streams/none{number}/results"),
                ("GET", f"/v2/models/none{number}/versions/{number}/ready"),
                ("DELETE", f"/v1/streams/none{number}"),
                ("DELETE", f"/v1/apps/none{number}"),
                ("BREW", f"/none{number}"),
            )
            method, path = paths[number % len(paths)]
            await send(client, tally, method, path, data=image if method == "POST" else None)

        await crew(8, once, tally, Pace(100))


async def _labels(target: Target, tally: Tally) -> None:
    """One and the same accuracy in endless writings, and endless accuracies beside it."""
    image, count = picture(), itertools.count()
    async with session(target) as client:

        async def once() -> None:
            number = next(count)
            asked = (
                f"relative:0.02{'0' * (number % 60)}",
                f"relative:{0.02 + number * 1e-9:.12f}",
                f"0.{79_000_000 + number}",
                f"0.79{'0' * (number % 40)}",
                f"relative:2e-{2 + number % 3}",
            )[number % 5]
            path = f"/v1/classify?accuracy={asked}"
            await send(client, tally, "POST", path, data=image)

        await crew(8, once, tally, Pace(100))


async def _apps(target: Target, tally: Tally) -> None:
    """300 apps, each with 60 targets after another, and requests for all of them."""
    image, count = picture(), itertools.count()
    async with session(target) as client:

        async def once() -> None:
            number = next(count)
            app, at = f"app{number % 300}", number // 300 % 60
            target_of = {"task": "roadsigns", "accuracy": round(0.6 + at * 0.005, 3)}
            await send(client, tally, "PUT", f"/v1/apps/{app}", json=target_of)
            path = f"/v1/classify?app={app}&accuracy={0.6 + at * 0.005:.3f}"
            await send(client, tally, "POST", path, data=image)
            if number % 20 == 0:
                await send(client, tally, "GET", f"/v1/apps/{app}/accuracy")
                await send(client, tally, "GET", "/v1/apps")

        await crew(8, once, tally, Pace(60))


async def _oversized(target: Target, tally: Tally) -> None:
    image, deep = picture(), "[" * 30_000
    asked: tuple[tuple[str, str, bytes], ...] = (
        ("POST", f"/v1/classify?accuracy={_LONG}", image),
        ("POST", f"/v1/classify?task={_LONG}", image),
        ("POST", f"/v1/classify?app={_LONG}", image),
        ("POST", "/v1/classify?" + "&".join(f"p{n}=1" for n in range(900)), image),
        ("POST", "/v1/classify?top_k=99999999999999999999", image),
        ("POST", "/v1/classify?deadline_ms=1e308", image),
        ("POST", "/v1/classify?accuracy=nan", image),
        ("POST", f"/v1/classify?accuracy=0.{'9' * 5000}", image),
        ("POST", "/v1/classify?accuracy=%00%ff%fe", image),
        ("GET", f"/v1/tasks/roadsigns/curve?link_ms={_LONG}", b""),
        ("GET", f"/v1/streams/{_LONG}", b""),
        ("PUT", f"/v1/apps/{_LONG}", b"{}"),
        ("PUT", "/v1/apps/deep", deep.encode()),
        ("POST", "/v1/feedback", json.dumps({"request_id": _LONG * 8, "label": "x"}).encode()),
        ("POST", "/v1/feedback", b'{"request_id": 1e999, "label": {"a": []}}'),
        ("POST", "/v1/streams", b'{"deadline_ms": 1e400}'),
        ("POST", "/v1/streams", json.dumps({"app": _LONG}).encode()),
        ("POST", "/v1/streams", b'{"mtu": 12345678901234567890123456789012345678}'),
        ("PUT", "/v1/apps/a", b'{"task":"roadsigns","accuracy":1e-400,"deadline_ms":-0.0}'),
    )
    turns = itertools.cycle(asked)
    async with session(target) as client:

        async def once() -> None:
            method, path, body = next(turns)
            await send(client, tally, method, path, data=body or None)

        await crew(8, once, tally, Pace(60))


async def _reports(target: Target, tally: Tally) -> None:
    """Everything that is computed when it is asked for: curves, reports, metrics, lists."""
    count = itertools.count()
    async with session(target) as client:

        async def once() -> None:
            number = next(count)
            paths = (
                f"/v1/tasks/roadsigns/curve?link_ms={number % 600_000}",
                "/metrics",
                "/v1/tasks/roadsigns/accuracy",
                "/v1/tasks",
                "/v1/apps",
                "/v1/agents",
                "/v2/models/roadsigns",
            )
            await send(client, tally, "GET", paths[number % len(paths)])

        await crew(8, once, tally, Pace(60))


async def _feedback(target: Target, tally: Tally) -> None:
    """Labels for answers that were never given, given to others, or judged already."""
    image, count = picture(), itertools.count()
    async with session(target) as client:
        _, body = await send(
            client, tally, "POST", "/v1/classify", data=image, headers=target.insider()
        )
        mine = str(json.loads(body).get("request_id", "none"))

        async def once() -> None:
            number = next(count)
            ids = (mine, mine[:-4] + "AAAA", f"{number:032x}", "A" * 400, "\x00é", "")
            told = {"request_id": ids[number % len(ids)], "label": "stop"}
            await send(client, tally, "POST", "/v1/feedback", json=told)

        await crew(8, once, tally, Pace(150))


async def _streams(target: Target, tally: Tally) -> None:
    """Streams opened and left, each with another target, which has to be prepared."""
    count = itertools.count()
    async with session(target) as client:

        async def once() -> None:
            number = next(count)
            accuracy = f"relative:{0.01 + number % 5000 * 1e-5:.6f}"
            body = {"accuracy": accuracy, "suite": "AES_CM_128_HMAC_SHA1_80"}
            status, said = await send(client, tally, "POST", "/v1/streams", json=body)
            if status == 201:
                opened.append(str(json.loads(said)["id"]))

        opened: list[str] = []
        try:
            await crew(4, once, tally, Pace(50))
        finally:
            await _close(client, opened, target.insider())


async def _close(client: Client, opened: list[str], mine: dict[str, str]) -> None:
    """What was opened is closed, so that the next attack finds room."""
    for stream in opened:
        with contextlib.suppress(*FAILURES):
            async with client.request("DELETE", f"/v1/streams/{stream}", headers=mine):
                pass


async def _stalled_readers(target: Target, tally: Tally) -> None:
    """Followers of a stream who never read, on streams of their own."""
    async with session(target) as client:
        opened: list[str] = []
        plain = {"suite": "none"}

        async def once() -> None:
            stream = opened[next(turns) % len(opened)]
            async with connection(target) as (reader, writer):
                reader._limit = 1  # type: ignore[attr-defined]  # reading pauses after two bytes
                path = f"/v1/streams/{stream}/results?after=0"
                head = f"GET {path} HTTP/1.1\r\nHost: a\r\n".encode()
                writer.write(head + lines(target.insider()) + b"\r\n")
                tally.add("listening")
                await asyncio.sleep(20)

        turns = itertools.count()
        try:
            while len(opened) < 4:
                with contextlib.suppress(*FAILURES):  # others may take its place
                    status, said = await send(
                        client, tally, "POST", "/v1/streams", json=plain, headers=target.insider()
                    )
                    if status == 201:
                        opened.append(str(json.loads(said)["id"]))
                await asyncio.sleep(0.1)
            await crew(100, once, tally, Pace(100), patience_s=30)
        finally:
            await _close(client, opened, target.insider())


ATTACKS = (
    Attack("deadlines", "HTTP", "100 requests/s with deadlines of 1 µs to 12 ms", _tiny_deadlines),
    Attack("unknown", "HTTP", "tasks, apps, streams, versions, methods nobody knows", _unknown),
    Attack("labels", "HTTP", "endless writings of targets, and endless targets", _labels),
    Attack("apps", "HTTP", "300 apps x 60 targets, stored and asked for", _apps),
    Attack("oversized", "HTTP", "parameters and JSON: long, deep, huge, not finite", _oversized),
    Attack("reports", "HTTP", "60 curves, metrics, reports and lists a second", _reports),
    Attack("feedback", "HTTP", "150 labels/s: forged, stolen, repeated", _feedback),
    Attack("streams", "HTTP", "50 stream opens/s, each with a new target", _streams),
    Attack("stalled", "HTTP", "100 followers of streams who never read", _stalled_readers),
)
