"""Keys that are guessed, and a key that is used for what it is not good for."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import Any

from hawkvision.oip.inference import build_request
from tests.attack.attack import Attack, Pace, Tally, Target, crew
from tests.attack.channel import channel_to
from tests.attack.http import send, session
from tests.attack.parameters import picture

_METHOD = "/inference.GRPCInferenceService/ModelInfer"


def guesses(target: Target) -> tuple[Callable[[], dict[str, str]], ...]:
    """Headers: random keys, near misses of real ones, and what is no key."""
    weak = "hvk_x" if target.access is None else target.access.weak
    return (
        lambda: {"Authorization": f"Bearer hvk_{secrets.token_urlsafe(32)}"},
        lambda: {"X-API-Key": f"hvk_{secrets.token_urlsafe(32)}"},
        lambda: {"X-API-Key": weak[:-1] + secrets.choice("abcdefgh") + "x"},
        lambda: {"X-API-Key": weak[: secrets.randbelow(len(weak))]},
        lambda: {"X-API-Key": "k" * 8000},
        lambda: {"Authorization": "Basic " + secrets.token_urlsafe(100)},
        lambda: {"Authorization": "Bearer " + "\xe9\xff" * 20},
        lambda: {"Authorization": "Bearer"},
    )


async def _guessed(target: Target, tally: Tally) -> None:
    turns = itertools.cycle(guesses(target))
    doors = itertools.cycle(
        (
            ("POST", "/v1/classify"),
            ("GET", "/v1/apps"),
            ("GET", "/metrics"),
            ("POST", "/v1/streams"),
        )
    )
    image = picture()
    async with session(target) as client:

        async def once() -> None:
            method, path = next(doors)
            how: dict[str, Any] = {"data": image} if path == "/v1/classify" else {}
            status, _ = await send(client, tally, method, path, headers=next(turns)(), **how)
            if status < 400:
                tally.add("a guess was taken without a key")

        await crew(16, once, tally, Pace(300))


async def _guessed_over_grpc(target: Target, tally: Tally) -> None:
    body = build_request("roadsigns", "", "guess", picture()).SerializeToString()
    async with channel_to(target.at_edge) as channel:
        ask: Any = channel.unary_unary(_METHOD)

        async def once() -> None:
            key = f"hvk_{secrets.token_urlsafe(32)}"
            await ask(body, timeout=5, metadata=[("x-api-key", key)])
            tally.add("a guess was taken without a key")

        await crew(8, once, tally, Pace(100))


async def _misused(target: Target, tally: Tally) -> None:
    """What an insider may not: change targets, labels, models, act for an app, read metrics."""
    asked = itertools.cycle(
        (
            ("PUT", "/v1/apps/gate", b'{"task":"roadsigns","accuracy":0.6}'),
            ("DELETE", "/v1/apps/gate", b""),
            ("POST", "/v1/feedback", b'{"request_id":"x","label":"stop"}'),
            ("POST", "/v2/repository/models/roadsigns/unload", b"{}"),
            ("POST", "/v2/repository/models/roadsigns/load", b"{}"),
            ("GET", "/metrics", b""),
            ("POST", "/v1/classify?app=gate", picture()),
            ("GET", "/v1/apps/gate/accuracy", b""),
            ("POST", "/v1/streams", b'{"app":"gate"}'),
            ("POST", "/v2/models/roadsigns/infer", b"{}"),
            ("GET", "/v1/tasks", b""),
        )
    )
    async with session(target) as client:

        async def once() -> None:
            method, path, body = next(asked)
            status, _ = await send(
                client, tally, method, path, data=body or None, headers=target.insider()
            )
            if status < 400 and path != "/v1/tasks":
                tally.add(f"{path} without its scope")

        await crew(8, once, tally, Pace(100))


ATTACKS = (
    Attack("key-guesses", "HTTP", "300 wrong keys/s, near misses, no keys", _guessed, secure=True),
    Attack("key-calls", "gRPC", "100 wrong keys/s, agent's gRPC", _guessed_over_grpc, secure=True),
    Attack("key-misuse", "HTTP", "a valid key for what it may not, 100/s", _misused, secure=True),
)
