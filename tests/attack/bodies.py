"""Bodies under a coding, or in crumbs."""

from __future__ import annotations

import gzip
import itertools
import zlib

from tests.attack import bombs
from tests.attack.attack import Attack, Pace, Tally, Target, crew
from tests.attack.http import send, session
from tests.attack.wire import connection, lines, read_reply

_ZEROS = 200_000_000


async def _coded_images(target: Target, tally: Tally) -> None:
    bomb = bombs.gzip_zeros(_ZEROS)
    turns = itertools.cycle(("gzip", "deflate", "br", "zstd", "gzip, gzip", "x-unknown"))
    async with session(target) as client:

        async def once() -> None:
            coding = {"Content-Encoding": next(turns)}
            await send(client, tally, "POST", "/v1/classify", data=bomb, headers=coding)

        await crew(4, once, tally, Pace(20))


async def _coded_json(target: Target, tally: Tally) -> None:
    bomb = bombs.gzip_zeros(_ZEROS)
    bodies = itertools.cycle(
        (
            ("gzip", bomb[:60_000]),
            ("gzip", bomb),
            ("gzip", gzip.compress(bomb)),
            ("deflate", zlib.compress(bytes(30_000_000))),
            ("gzip", gzip.compress(b'{"a":' * 10_000)),
            ("br", b"\x00"),
        )
    )
    doors = itertools.cycle(
        (("POST", "/v1/feedback"), ("POST", "/v1/streams"), ("PUT", "/v1/apps/bomb"))
    )
    async with session(target) as client:

        async def once() -> None:
            coding, body = next(bodies)
            method, path = next(doors)
            head = {"Content-Encoding": coding, "Content-Type": "application/json"}
            await send(client, tally, method, path, data=body, headers=head)

        await crew(4, once, tally, Pace(40))


async def _crumbs(target: Target, tally: Tally) -> None:
    """Chunks of one byte, each with its own frame around it."""
    head = b"POST /v1/classify HTTP/1.1\r\nHost: a\r\n"
    rest = b"Transfer-Encoding: chunked\r\n\r\n"
    crumbs = b"1\r\nx\r\n" * 20_000

    async def once() -> None:
        async with connection(target) as (reader, writer):
            writer.write(head + lines(target.shown()) + rest)
            for _ in range(3):
                writer.write(crumbs)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await read_reply(reader, tally)

    await crew(4, once, tally, Pace(4), patience_s=30)


ATTACKS = (
    Attack(
        "coded-images",
        "HTTP",
        "images under gzip, deflate, br, zstd; 200 MB in 200 kB",
        _coded_images,
        lambda: bombs.gzip_zeros(_ZEROS),
    ),
    Attack(
        "coded-json",
        "HTTP",
        "gzip bombs to the JSON routes",
        _coded_json,
        lambda: bombs.gzip_zeros(_ZEROS),
    ),
    Attack("crumbs", "HTTP", "bodies of 60,000 chunks of one byte", _crumbs),
)
