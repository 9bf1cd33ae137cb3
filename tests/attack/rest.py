"""The gateway's HTTP port: silence, slow bodies, JSON that is dear to read, tensors that lie."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import random
from collections.abc import Callable

from tests.attack import bombs, connections
from tests.attack.attack import Attack, Pace, Run, Tally, Target, crew
from tests.attack.http import send, session
from tests.attack.parameters import picture
from tests.attack.wire import connection

INFER = "/v2/models/roadsigns/infer"
LENGTH = "Inference-Header-Content-Length"
_HOLD_S = 60.0
_ZEROS = 200_000_000


def at_rest(run: Run) -> Run:
    """An attack on the agent's HTTP port, at the gateway's."""

    async def attack(target: Target, tally: Tally) -> None:
        await run(target.at_rest, tally)

    return attack


async def _slow(target: Target, tally: Tally) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\n{LENGTH}: 0\r\nContent-Length: 1000000\r\n\r\n"

    async def once() -> None:
        async with connection(target, target.rest) as (reader, writer):
            writer.write(head.encode())
            tally.add("opened")
            reply = asyncio.create_task(reader.read(65_536))
            try:
                while not reply.done():
                    writer.write(b"\xff")
                    await asyncio.sleep(0.25)
                tally.add("ended")
            finally:
                reply.cancel()

    await crew(300, once, tally, Pace(150), patience_s=_HOLD_S)


def _asked(**fields: object) -> bytes:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["x"]}
    return json.dumps({"inputs": [{**tensor, **fields}]}).encode()


def documents() -> tuple[tuple[dict[str, str], bytes], ...]:
    """Headers and bodies that are JSON, or nearly."""
    bomb = {"Content-Encoding": "gzip"}
    return (
        ({}, b"[" * 500_000),
        ({}, b'{"inputs":' * 50_000),
        ({}, b'{"a":1,' * 100_000),
        ({}, b'{"inputs": ' + b"9" * 900_000 + b"}"),
        ({}, b'{"inputs": [1e999, -1e999, NaN, Infinity]}'),
        ({}, _asked(shape=[2**62, 2**62])),
        ({}, _asked(shape=[-1])),
        ({}, _asked(shape=[1] * 100_000)),
        ({}, _asked(data=["x" * 10] * 50_000, shape=[50_000])),
        ({}, _asked(data=list(range(150_000)), datatype="FP32", shape=[150_000])),
        ({}, _asked(parameters={"binary_data_size": 2**63})),
        ({}, _asked(name="\x00" * 50_000)),
        ({}, json.dumps({"inputs": [json.loads(_asked())["inputs"][0]] * 5000}).encode()),
        ({}, json.dumps({"inputs": [], "outputs": [{"name": "x"}] * 20_000}).encode()),
        ({}, json.dumps({"parameters": {f"p{n}": n for n in range(50_000)}}).encode()),
        ({}, b" " * 1_000_000 + b"{"),
        ({}, b"x" * 2_000_000),
        ({}, "\ud800".encode("utf-8", "surrogatepass") * 10_000),
        (bomb, bombs.gzip_zeros(_ZEROS)),
        (bomb, gzip.compress(b'{"inputs":' * 100_000)),
        (bomb, gzip.compress(bombs.gzip_zeros(_ZEROS))),
        ({"Content-Encoding": "br"}, b"\x00"),
    )


async def _documents(target: Target, tally: Tally) -> None:
    turns = itertools.cycle(documents())
    async with session(target.at_rest) as client:

        async def once() -> None:
            headers, body = next(turns)
            await send(client, tally, "POST", INFER, data=body, headers=headers)

        await crew(4, once, tally, Pace(30), patience_s=20)


def tensors() -> tuple[Callable[[], tuple[str, bytes]], ...]:
    """The length of the JSON as it is said, and a body."""
    noise, good = random.Random(41), picture()
    bombed = [*(make() for make in bombs.FLAT.values()), *(make() for make in bombs.SCANS.values())]
    pick = itertools.cycle(bombed)

    def binary(size: int, data: bytes, **fields: object) -> tuple[str, bytes]:
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1], **fields}
        tensor["parameters"] = {"binary_data_size": size}
        head = json.dumps({"inputs": [tensor]}).encode()
        return str(len(head)), head + data

    return (
        lambda: ("0", next(pick)),
        lambda: ("0", next(pick)),
        lambda: ("0", good[: noise.randrange(1, len(good))]),
        lambda: ("0", noise.randbytes(5000)),
        lambda: ("0", b""),
        lambda: ("-1", good),
        lambda: ("99999999999999999999", good),
        lambda: ("1e3", good),
        lambda: binary(len(good) + 4, (2**32 - 1).to_bytes(4, "little") + good),
        lambda: binary(len(good), b"\x00\x00\x00\x00" + good),
        lambda: binary(4 * 1000, bytes(4000), shape=[1000]),
        lambda: binary(3_000_000, bytes(3_000_000), shape=[750_000]),
        lambda: binary(12, bytes(12), datatype="FP32", shape=[1, 3, 1, 1]),
        lambda: binary(8, bytes(8), datatype="FP64", shape=[2**40]),
        lambda: binary(5, b"\x01\x00\x00\x00x", name="images"),
    )


async def _tensors(target: Target, tally: Tally) -> None:
    turns = itertools.cycle(tensors())
    async with session(target.at_rest) as client:

        async def once() -> None:
            length, body = next(turns)()
            await send(client, tally, "POST", INFER, data=body, headers={LENGTH: length})

        await crew(6, once, tally, Pace(30), patience_s=30)


def _prepare() -> object:
    return [make() for group in (bombs.FLAT, bombs.SCANS) for make in group.values()]


ATTACKS = (
    Attack(
        "rest-silent", "REST", "1,500 connections that say nothing", at_rest(connections.silent)
    ),
    Attack("rest-slow", "REST", "300 bodies of 1 MB, 4 bytes a second", _slow),
    Attack("rest-garbage", "REST", "as garbage, at the gateway", at_rest(connections.garbage)),
    Attack("rest-json", "REST", "deep, huge, endless JSON; gzip bombs; shapes", _documents),
    Attack("rest-tensors", "REST", "tensors whose sizes lie; images as above", _tensors, _prepare),
)
