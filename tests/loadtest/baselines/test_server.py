"""Baselines at their door: the contract's answers, loads under a budget, refusals in words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import onnx
import pytest

from hawkvision.contract.answer import Answer
from hawkvision.errors import RepositoryError
from loadtest.baselines.ladder import Ladder
from loadtest.baselines.local import Ensemble, Switching
from loadtest.baselines.server import Baseline, start
from tests.models import LABELS, classifier, coloured_jpeg

PATCHES = {"s": 16, "m": 24, "l": 32}


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    folder = tmp_path_factory.mktemp("ladder")
    rows = []
    for place, (name, patch) in enumerate(PATCHES.items()):
        onnx.save(classifier(patch), folder / f"{name}.onnx")
        rows.append(
            {
                "name": name,
                "file": f"{name}.onnx",
                "precision": "fp32",
                "input_side": 32,
                "accuracy_calibrating": 0.8 + place / 20,
                "milliseconds": 1.0 + place,
                "load_milliseconds": 5.0,
                "memory_mb": 10.0,
                "temperature": 1.0,
            }
        )
    body = {"task": "tiny", "labels": list(LABELS), "variants": rows}
    (folder / "ladder.json").write_text(json.dumps(body))
    return Ladder.read(folder)


@asynccontextmanager
async def serving(answerer: Switching, ladder: Ladder) -> AsyncIterator[str]:
    runner, port = await start(Baseline("tiny", ladder.kind, answerer), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
        await answerer.close()


async def ask(url: str, accuracy: float, image: bytes, deadline_ms: float = 60_000) -> Answer | int:
    path = f"{url}/v1/classify?accuracy={accuracy}&deadline_ms={deadline_ms}"
    async with aiohttp.ClientSession() as session, session.post(path, data=image) as reply:
        return Answer.parse(await reply.json()) if reply.status == 200 else reply.status


async def test_variants_are_loaded_and_evicted_as_targets_ask(ladder: Ladder) -> None:
    switching = Switching(ladder, 15.0, 1)
    async with serving(switching, ladder) as url:
        for accuracy, resident in ((0.8, ["s"]), (0.88, ["l"]), (0.8, ["l"])):
            answer = await ask(url, accuracy, coloured_jpeg("blue"))
            assert isinstance(answer, Answer) and answer.label == "blue"
            assert (answer.served_by, answer.escalated) == ("edge", False)
            assert switching.stats()["resident"] == resident
    assert (switching.stats()["loads"], switching.stats()["evictions"]) == (2, 1)


async def test_a_variant_that_does_not_load_is_an_error_in_words(
    ladder: Ladder, tmp_path: Path
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    bad = replace(ladder.variants[1], path=tmp_path / "bad.onnx")
    broken = replace(ladder, variants=(ladder.variants[0], bad))
    async with serving(Switching(broken, 100.0, 1), broken) as url:
        path = f"{url}/v1/classify?accuracy=0.85&deadline_ms=60000"
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                async with session.post(path, data=coloured_jpeg("red")) as reply:
                    said = (await reply.json())["error"]
                    assert (reply.status, said["code"]) == (500, "engine")
                    assert said["message"].startswith("variant m does not load: ")
        answer = await ask(url, 0.8, coloured_jpeg("red"))
        assert isinstance(answer, Answer) and answer.label == "red"


async def test_an_ensemble_answers_with_all_of_them(ladder: Ladder) -> None:
    async with serving(Ensemble(ladder, 1), ladder) as url:
        answer = await ask(url, 0.9, coloured_jpeg("red"))
        assert isinstance(answer, Answer) and answer.label == "red"


async def test_what_cannot_be_answered_is_refused(ladder: Ladder) -> None:
    async with serving(Switching(ladder, float("inf"), 1), ladder) as url:
        assert await ask(url, 0.8, b"no image") == 400
        assert await ask(url, 7.0, coloured_jpeg("red")) == 400
        assert await ask(url, 0.8, coloured_jpeg("red"), deadline_ms=1e-6) == 503


def test_what_is_no_ladder_is_named(ladder: Ladder, tmp_path: Path) -> None:
    assert [one.name for one in ladder.only(("m",)).variants] == ["m"]
    with pytest.raises(RepositoryError, match="no variant 'x'"):
        ladder.only(("x",))
    with pytest.raises(RepositoryError, match="no ladder"):
        Ladder.read(tmp_path)
