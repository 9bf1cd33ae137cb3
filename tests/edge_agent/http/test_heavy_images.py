"""Images that cost more than they declare, over a real socket: refused with a reason, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hawkvision.images import ImageLimits
from hawkvision.images.budget import BUDGET
from tests.edge_agent.agents import exchange, request, started
from tests.images.bombs import chunk, png, progressive_jpeg, segment
from tests.models import coloured_jpeg

RED = coloured_jpeg("red")
LIMITS = ImageLimits(
    max_pixels=4_000_000, max_decode_bytes=8_000_000, max_scans=12, max_segments=100
)


def multipart(*images: bytes) -> bytes:
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + one + b"\r\n"
        for one in images
    )
    return request(
        "POST",
        "/v1/classify",
        parts + b"--b--\r\n",
        "Content-Type: multipart/form-data; boundary=b",
    )


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (progressive_jpeg(1000, 1000), "more than 12 times"),
        (RED[:2] + segment(0xE1, b"") * 101 + RED[2:], "more than 100 segments"),
        (png(20, 20, before=chunk(b"tEXt", b"a\0b") * 101), "more than 100 segments"),
        (png(2000, 1900), "bytes of memory; the limit is 8000000"),
        (png(2000, 2001), "the limit is 4000000 pixels"),
    ],
    ids=["scans", "jpeg segments", "png chunks", "memory", "pixels"],
)
async def test_a_heavy_image_is_too_large(tiny_repository: Path, image: bytes, says: str) -> None:
    async with started(tiny_repository, limits=LIMITS) as agent:
        reply = await exchange(agent, request("POST", "/v1/classify", image))
        assert (reply.status, reply.code) == (413, "payload_too_large")
        assert says in reply.json["error"]["message"] and reply.json["error"]["hint"]
        good = await exchange(agent, request("POST", "/v1/classify", RED))
        assert good.json["label"] == "red"


async def test_while_others_hold_the_memory_it_is_an_overload(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BUDGET, "patience_s", 0.0)
    async with started(tiny_repository, limits=LIMITS) as agent:
        with BUDGET.hold(5_000_000, LIMITS.max_decode_bytes):
            reply = await exchange(agent, request("POST", "/v1/classify", png(1000, 1000)))
            small = await exchange(agent, request("POST", "/v1/classify", RED))
        again = await exchange(agent, request("POST", "/v1/classify", png(1000, 1000)))
    assert (reply.status, reply.code) == (503, "overloaded")
    assert int(reply.headers["retry-after"]) >= 1
    assert "bytes of memory" in reply.json["error"]["message"]
    assert small.status == again.status == 200


async def test_a_batch_shares_the_budget_and_all_of_it_is_answered(tiny_repository: Path) -> None:
    async with started(tiny_repository, limits=LIMITS, threads=4) as agent:
        reply = await exchange(
            agent, multipart(*[png(1000, 1000)] * 12, progressive_jpeg(999, 999))
        )
    *good, bad = reply.json["results"]
    assert all("label" in one for one in good)
    assert bad["error"]["code"] == "payload_too_large"
    assert BUDGET.held == 0


@pytest.mark.parametrize("stray", [1, 3, 40, 1000])
async def test_bytes_before_the_end_as_webcams_send_them_change_nothing(
    tiny_repository: Path, stray: int
) -> None:
    async with started(tiny_repository) as agent:
        plain = await exchange(agent, request("POST", "/v1/classify", RED))
        noisy = RED[:-2] + bytes(range(1, 200)) * (stray // 199) + bytes(stray % 199) + RED[-2:]
        reply = await exchange(agent, request("POST", "/v1/classify", noisy))
        cut = await exchange(agent, request("POST", "/v1/classify", RED[:-40] + RED[-2:]))
    assert reply.json["confidence"] == plain.json["confidence"]
    assert (cut.status, cut.code) == (422, "corrupt_image")
