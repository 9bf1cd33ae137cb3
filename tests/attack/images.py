"""Images that are dear to decode, over HTTP and to the gateway."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

from hawkvision.oip import open_inference_pb2_grpc as services
from hawkvision.oip.inference import build_request
from tests.attack import bombs
from tests.attack.attack import Attack, Pace, Run, Tally, Target, crew
from tests.attack.channel import channel_to
from tests.attack.http import send, session

Makers = Mapping[str, Callable[[], bytes]]
_RATE = 8.0
_MEMBERS = 4
_BOUNDARY = "6f1c"


def _all(makers: Iterable[Makers]) -> list[bytes]:
    return [make() for group in makers for make in group.values()]


def over_http(*makers: Makers) -> Run:
    """One image a request."""

    async def run(target: Target, tally: Tally) -> None:
        turns = itertools.cycle(_all(makers))
        async with session(target) as client:
            await crew(
                _MEMBERS,
                lambda: send(client, tally, "POST", "/v1/classify", data=next(turns)),
                tally,
                Pace(_RATE),
                patience_s=30,
            )

    return run


async def _many_in_one(target: Target, tally: Tally) -> None:
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{at}"; filename="x"\r\n'
        f"Content-Type: image/webp\r\n\r\n".encode()
        + bombs.webp()
        + b"\r\n"
        for at in range(32)
    ]
    body = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    async with session(target) as client:
        await crew(
            _MEMBERS,
            lambda: send(client, tally, "POST", "/v1/classify", data=body, headers=kind),
            tally,
            Pace(2),
            patience_s=30,
        )


async def _to_the_gateway(target: Target, tally: Tally) -> None:
    turns = itertools.cycle(_all((bombs.FLAT, bombs.SCANS, bombs.MANY)))
    async with channel_to(target) as channel:
        stub = services.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]

        async def once() -> None:
            tally.add("sent")
            await stub.ModelInfer(build_request("roadsigns", "", "bomb", next(turns)), timeout=30)
            tally.add("grpc OK")

        await crew(_MEMBERS, once, tally, Pace(_RATE), patience_s=31)


def _make(*makers: Makers) -> Callable[[], object]:
    return lambda: _all(makers)


ATTACKS = (
    Attack(
        "scans",
        "HTTP",
        "progressive JPEGs of 36 MP, 400 to 3,000 scans",
        over_http(bombs.SCANS),
        _make(bombs.SCANS),
    ),
    Attack(
        "flat",
        "HTTP",
        "WebP, RGBA and 16-bit PNG of 36 MP in 28 B to 140 kB",
        over_http(bombs.FLAT),
        _make(bombs.FLAT),
    ),
    Attack(
        "chunks",
        "HTTP",
        "PNG with 60 MB of compressed text, WebP of 1,000 frames",
        over_http(bombs.MANY),
        _make(bombs.MANY),
    ),
    Attack("multipart", "HTTP", "32 WebP of 36 MP in one request", _many_in_one),
    Attack(
        "grpc-bombs",
        "gRPC",
        "all of these images to the gateway",
        _to_the_gateway,
        _make(bombs.FLAT, bombs.SCANS, bombs.MANY),
    ),
)
