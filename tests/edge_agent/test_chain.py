"""One chain, cut anywhere: a real agent that holds some of its rungs, a real gateway the rest."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from edge_agent.chain import Chain
from edge_agent.fleet.counting import Counting
from edge_agent.local import LocalTask
from edge_agent.upstream import Answered, Call, Refused
from hawkvision.cascade import Accuracy
from hawkvision.client.async_client import AsyncClient
from hawkvision.contract.answer import Answer
from hawkvision.images import ImageLimits
from hawkvision.repository import Repository
from hawkvision.serving.pool import WorkerPool
from hawkvision.tracking.counts import Delivered
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.delivery import Counters
from tests.edge_agent.agents import gateway_of, outcome, prediction, started
from tests.models import LABELS, SIDE, build_chain, coloured_jpeg

RUNGS = {"edge": 5, "medium": 12, "dc": SIDE}
IMAGES = [coloured_jpeg(LABELS[i % 4], seed=20_000 + i) for i in range(60)]
ACCURACY = 0.9


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_chain(tmp_path_factory.mktemp("chain"), RUNGS, (0.9,))


async def answers(agent: Agent, accuracy: float = ACCURACY) -> list[Answer]:
    async with AsyncClient(agent.url) as client:
        return [await client.classify(image, accuracy=accuracy) for image in IMAGES]


def right(found: list[Answer]) -> int:
    return sum(one.label == LABELS[i % 4] for i, one in enumerate(found))


def whole(one: Answer) -> dict[str, Any]:
    """What must not depend on where rungs run."""
    body = one.as_dict()
    moving = ("request_id", "served_by", "escalated", "timing_ms")
    body["confidence"] = round(one.confidence, 5)
    del body["top_k"]
    return {name: value for name, value in body.items() if name not in moving}


async def test_the_answers_are_the_same_wherever_the_chain_is_cut(repository: Path) -> None:
    found: dict[int, list[Answer]] = {}
    async with gateway_of(repository) as gateway:
        for held in (1, 2, 3):
            async with started(repository, gateway=gateway, rungs=held) as agent:
                found[held] = await answers(agent)
                async with AsyncClient(agent.url) as client:
                    info = await client.task("tiny")
                assert [one.resident for one in info.rungs] == [n < held for n in range(3)]
    assert {one.rung for one in found[1]} == set(RUNGS)
    for held, mine in found.items():
        here = set(list(RUNGS)[:held])
        assert all((one.served_by == "edge") == (one.rung in here) for one in mine)
        assert all(one.escalated == (one.served_by == "dc") for one in mine)
        assert all(one.certified for one in mine)
        assert [whole(one) for one in mine] == [whole(one) for one in found[1]]


async def test_a_lost_link_costs_less_with_two_rungs_than_with_one(repository: Path) -> None:
    async with gateway_of(repository) as gateway, started(repository, gateway=gateway) as agent:
        linked = await answers(agent)
    cut = {}
    for held in (1, 2, 3):
        async with started(repository, rungs=held) as agent:
            cut[held] = await answers(agent)
    assert right(cut[1]) < right(cut[2]) < right(cut[3]) == right(linked)
    assert {one.degraded for one in cut[3]} == {None}
    for before, one, two in zip(linked, cut[1], cut[2], strict=True):
        assert (one.degraded, one.rung) == (None if before.rung == "edge" else UNREACHABLE, "edge")
        # What the middle rung is sure of is the chain's answer, link or no link.
        assert two.degraded == (UNREACHABLE if before.rung == "dc" else None)
        assert two.rung == ("edge" if before.rung == "edge" else "medium")
        assert two.certified == (two.degraded is None)
        assert not two.escalated and two.served_by == "edge"


UNREACHABLE = "dc_unreachable"


@pytest.mark.parametrize("batching", [False, True])
async def test_a_gateway_without_the_middle_rung_takes_the_next(
    repository: Path, batching: bool
) -> None:
    settings = {"first_rung": 2, "batching": batching}
    async with gateway_of(repository, **settings) as gateway:
        async with started(repository, gateway=gateway) as agent:
            one = await answers(agent)
            certified = agent.tasks["tiny"].other_chains
            target = agent.tasks["tiny"].policy.resolve
        async with started(repository, gateway=gateway, rungs=2) as agent:
            two = await answers(agent)
    assert {found.rung for found in one} == {"edge", "dc"}
    assert {found.rung for found in two} == set(RUNGS)
    assert certified.certifies(1, 2, target(Accuracy(ACCURACY)))
    assert all(found.certified for found in (*one, *two))


async def test_a_chain_that_does_not_certify_the_target_says_so(tmp_path: Path) -> None:
    """The last rung alone is worse than the chain."""
    worse = build_chain(tmp_path, {"edge": 5, "medium": SIDE, "dc": 8}, (0.6,))
    async with (
        gateway_of(worse, first_rung=2) as gateway,
        started(worse, gateway=gateway) as agent,
    ):
        found = await answers(agent)
    escalated = [one for one in found if one.escalated]
    assert escalated
    for one in found:
        assert one.degraded is None
        assert one.certified == (not one.escalated)
        assert one.accuracy.reason == ("chain" if one.escalated else None)


async def test_a_rung_that_is_never_sure_stands_in_for_a_lost_link_alone(tmp_path: Path) -> None:
    never = build_chain(tmp_path, RUNGS, (1.01,))
    async with (
        gateway_of(never) as gateway,
        started(never, gateway=gateway, rungs=2) as agent,
    ):
        linked = await answers(agent)
        assert agent.tasks["tiny"].above[0].pace.mean_s is None  # type: ignore[union-attr]
    async with started(never, rungs=2) as agent:
        cut = await answers(agent)
    assert {one.rung for one in linked} == {"edge", "dc"}
    assert {(one.rung, one.degraded) for one in cut} == {("edge", None), ("medium", UNREACHABLE)}


async def test_a_rung_that_is_worse_than_the_first_does_not_stand_in(tmp_path: Path) -> None:
    worse = build_chain(tmp_path, {"edge": 12, "medium": 3, "dc": SIDE}, (0.99,))
    async with started(worse, rungs=2) as agent:
        cut = await answers(agent)
    degraded = [one for one in cut if one.degraded is not None]
    assert degraded and {one.rung for one in degraded} == {"edge"}


async def test_metrics_count_each_rung_where_it_ran(repository: Path) -> None:
    async with (
        gateway_of(repository) as gateway,
        started(repository, gateway=gateway, rungs=2) as agent,
    ):
        found = await answers(agent)
        read = agent.metrics.registry.get_sample_value
        for rung, side in (("edge", "edge"), ("medium", "edge"), ("dc", "dc")):
            labels = {"task": "tiny", "rung": rung, "served_by": side}
            expected = sum(one.rung == rung for one in found)
            assert expected and read("hawkvision_rung_answers_total", labels) == expected


# The chain by itself.


@dataclass
class Noting:
    """A gateway that notes from which rung it is asked, and answers or not."""

    reply: Answered | Refused
    asked: list[int] = field(default_factory=list)
    held_back: bool = False

    async def ask(self, call: Call) -> Answered | Refused:
        self.asked.append(call.from_rung)
        return self.reply

    async def close(self) -> None:
        return None


@pytest.fixture(scope="module")
def local(repository: Path) -> LocalTask:
    task = Repository(repository).open("tiny")
    return LocalTask.load(task, engine="onnx", limits=ImageLimits(), delta=0.05, rungs=2)


async def asked(local: LocalTask, image: bytes, upstream: Noting, seconds: float) -> Any:
    pool = WorkerPool(1, 8, asyncio.get_running_loop())
    try:
        due = time.monotonic() + seconds
        return await Chain(pool, upstream).ask(local, Call(local.task, image, due, "r"))
    finally:
        pool.close()


async def test_a_rung_here_that_would_come_too_late_is_the_gateway_s(repository: Path) -> None:
    """It was measured to take 12 ms, and there are 5."""
    task = Repository(repository).open("tiny")
    fresh = LocalTask.load(task, engine="onnx", limits=ImageLimits(), delta=0.05, rungs=2)
    gateway = Noting(Answered(prediction(2, 0.9), agrees=True, rung=1))
    found = await asked(fresh, IMAGES[0], gateway, 0.005)
    assert gateway.asked == [1]
    assert (found.place, found.over_link, found.missing) == (1, True, None)


async def test_an_image_that_the_middle_rung_is_unsure_of_comes_from_it(local: LocalTask) -> None:
    middle = local.above[0]

    def sure(image: bytes) -> bool:
        return middle.stands(middle.rung.predict([middle.rung.prepare(image)])[0])

    unsure = next(image for image in IMAGES if not sure(image))
    gateway = Noting(Answered(prediction(2, 0.9), agrees=True))
    found = await asked(local, unsure, gateway, 60)
    assert gateway.asked == [2] and found.place == 2 and found.prediction.class_id == 2
    away = Noting(Refused("dc_unreachable"))
    found = await asked(local, unsure, away, 60)
    assert (found.place, found.refused) == (1, "dc_unreachable")
    found = await asked(local, next(filter(sure, IMAGES)), away, 60)
    assert (away.asked, found.place, found.refused) == ([2], 1, None)


async def test_an_image_that_only_rung_one_reads_goes_up(local: LocalTask) -> None:
    gateway = Noting(Refused("rejected"))
    found = await asked(local, b"no image", gateway, 60)
    assert gateway.asked == [1]
    assert (found.prediction, found.place, found.refused) == (None, 0, "rejected")


def test_accounts_know_the_chain_s_answer_wherever_it_was_given(local: LocalTask) -> None:
    """The first rung's confidence against the chain's answer, as if it had come over the link."""
    counters = Counters()
    counting = Counting(counters.add, {local.counted: local.task.kind})
    over = outcome(local, prediction(0, 0.4), prediction(1, 0.9))
    here = over._replace(over_link=False)
    ids = [counting.answered(one, 1e9) for one in (over, here)]
    degraded = here._replace(dc=None, best=here.dc, degraded="deadline")
    ids.append(counting.answered(degraded, 1e9))
    assert [one.served_by for one in (over, here, degraded)] == ["dc", "edge", "edge"]
    assert degraded.prediction.class_id == 1 and degraded.rung == "medium"
    receipts = [counting.receipt(one, 1e9) for one in ids]
    assert [one.escalated for one in receipts if one is not None] == [True, True, False]
    batch = counters.take(1e9)
    assert batch is not None
    found = Delivered.read(batch.counts[CountKey(local.counted, "", "0.8")])
    assert (found.answered_by("dc"), found.answered_by("edge")) == (2, 1)
    assert found.confidence["edge"] == pytest.approx(0.9)
