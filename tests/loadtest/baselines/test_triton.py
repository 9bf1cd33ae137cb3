"""Variants that a real Triton loads and unloads, behind the baselines' door."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from hawkvision.contract.answer import Answer
from loadtest.baselines.ladder import Ladder
from loadtest.baselines.triton import TritonSwitching
from loadtest.peers.installed import default_python
from tests.loadtest.baselines.test_server import ask, ladder, serving
from tests.models import coloured_jpeg

__all__ = ["ladder"]

ENVIRONMENT = default_python().parent.parent / "triton"

pytestmark = [
    pytest.mark.skipif(not ENVIRONMENT.is_dir(), reason="needs scripts/setup peers"),
    pytest.mark.timeout(300),
]


async def test_triton_loads_and_unloads_as_targets_ask(ladder: Ladder, tmp_path: Path) -> None:
    switching = TritonSwitching(ladder, 15.0, 1, ENVIRONMENT, tmp_path)
    async with serving(switching, ladder) as url:
        for accuracy, resident in ((0.8, ["s"]), (0.88, ["l"]), (0.8, ["l"])):
            answer = await ask(url, accuracy, coloured_jpeg("blue"))
            assert isinstance(answer, Answer) and answer.label == "blue"
            assert switching.stats()["resident"] == resident
    assert (switching.stats()["loads"], switching.stats()["evictions"]) == (2, 1)


async def test_what_triton_cannot_load_is_an_error_in_its_words(
    ladder: Ladder, tmp_path: Path
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    bad = replace(ladder.variants[1], path=tmp_path / "bad.onnx", load_milliseconds=9.0)
    broken = replace(ladder, variants=(ladder.variants[0], bad))
    switching = TritonSwitching(broken, 100.0, 1, ENVIRONMENT, tmp_path / "triton")
    async with serving(switching, broken) as url:
        path = f"{url}/v1/classify?accuracy=0.85&deadline_ms=60000"
        async with (
            aiohttp.ClientSession() as session,
            session.post(path, data=coloured_jpeg("red")) as reply,
        ):
            said = (await reply.json())["error"]
        assert (reply.status, said["code"]) == (500, "engine")
        assert said["message"].startswith("variant m does not load: Triton: ")
        answer = await ask(url, 0.8, coloured_jpeg("red"))
        assert isinstance(answer, Answer) and answer.label == "red"
