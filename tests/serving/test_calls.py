"""Calls between processes: in any order, bounded, and an end that is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hawkvision.serving.calls import Caller, CallServer, CallsFailed


async def double(number: Any) -> Any:
    return 2 * number


async def slow(seconds: Any) -> Any:
    await asyncio.sleep(seconds)
    return "slept"


async def fails(_nothing: Any) -> Any:
    raise ValueError("no")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[CallServer, Path]]:
    one = CallServer({"double": double, "slow": slow, "fails": fails})
    await one.start(tmp_path / "s.sock")
    yield one, tmp_path / "s.sock"
    await one.close()


async def test_calls_run_beside_each_other(server: tuple[CallServer, Path]) -> None:
    caller = Caller(server[1])
    waiting = asyncio.create_task(caller.call("slow", 60, patient=True))
    assert await asyncio.gather(*(caller.call("double", n) for n in range(50))) == [
        2 * n for n in range(50)
    ]
    assert await caller.call("double", "x" * 1_000_000) == "x" * 2_000_000
    assert not waiting.done()
    assert len(server[0].descriptors()) == 2
    await server[0].close()
    with pytest.raises(CallsFailed):
        await waiting
    with pytest.raises(CallsFailed):
        await caller.call("double", 1)
    await caller.close()


async def test_what_fails_or_takes_too_long_is_said(
    server: tuple[CallServer, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller(server[1], timeout_s=0.05)
    with pytest.raises(CallsFailed, match="ValueError: no"):
        await caller.call("fails")
    assert "the call 'fails' failed" in caplog.text
    with pytest.raises(CallsFailed):
        await caller.call("slow", 60)
    assert await caller.call("double", 4) == 8
    await caller.close()


async def test_a_server_that_comes_back_is_found(tmp_path: Path) -> None:
    caller, path = Caller(tmp_path / "s.sock"), tmp_path / "s.sock"
    with pytest.raises(CallsFailed):
        await caller.call("double", 1)
    for _ in range(2):
        server = CallServer({"double": double})
        await server.start(path)
        assert await caller.call("double", 1) == 2
        await server.close()
        await asyncio.sleep(0.05)
    await caller.close()
