"""Audits: their share, their bound, and what is left out."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.fleet.audits import AT_ONCE, Audits
from edge_agent.fleet.jobs import Work
from edge_agent.local import LocalTask
from edge_agent.outcome import Outcome
from hawkvision.tracking.control.audit import AuditSettings
from hawkvision.tracking.counts import BINS, Bins
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.delivery import Counters
from tests.edge_agent.agents import outcome, prediction, started

TASK = CountKey("tiny@1", "", "*")
TARGET = CountKey("tiny@1", "", "0.8")


class Audited:
    """Audits whose jobs run when `run` is called; the data center always says green."""

    def __init__(self, local: LocalTask, share: float) -> None:
        self.counters = Counters()
        self.waiting: list[Work] = []
        self.asked: list[bytes] = []
        self.answer: Any = prediction(1, 0.9)
        self.audits = Audits(
            {"tiny": local},
            AuditSettings(base=share, boosted=0.5),
            self.counters.add,
            self.ask,
            lambda _name, work: self.waiting.append(work),
            random.Random(0),
        )

    async def ask(self, _local: LocalTask, image: bytes, _what: str) -> Any:
        self.asked.append(image)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def run(self) -> None:
        while self.waiting:
            await self.waiting.pop()()

    def measures(self, key: CountKey) -> dict[str, float]:
        batch = self.counters.take(0.0)
        return {} if batch is None else dict(batch.counts.get(key, {}))


@pytest.fixture
def always(local: LocalTask) -> Audited:
    return Audited(local, 1.0)


async def test_the_share_of_local_answers_goes_up_too(local: LocalTask) -> None:
    audited = Audited(local, 0.2)
    for _ in range(2000):
        audited.audits.answered(outcome(local, prediction(0, 0.9)))
        await audited.run()
    assert 300 < len(audited.asked) < 500
    found = audited.measures(TARGET)
    assert found["audit/n"] == len(audited.asked)
    assert found["audit/w"] == pytest.approx(5 * len(audited.asked))


async def test_only_a_few_are_under_way_at_once(always: Audited, local: LocalTask) -> None:
    for _ in range(50):
        always.audits.answered(outcome(local, prediction(0, 0.9)))
    assert len(always.waiting) == AT_ONCE
    await always.run()
    always.audits.answered(outcome(local, prediction(0, 0.9)))
    assert len(always.waiting) == 1


async def test_one_that_fails_makes_room_again(always: Audited, local: LocalTask) -> None:
    always.answer = ValueError("as scripted")
    for _ in range(3 * AT_ONCE):
        always.audits.answered(outcome(local, prediction(0, 0.9)))
        with pytest.raises(ValueError):
            await always.run()


@pytest.mark.parametrize(
    "left_out",
    [
        lambda local: outcome(local, prediction(0, 0.9), loss_level=0.1),
        lambda local: outcome(local, prediction(0, 0.9), image=None),
        lambda local: outcome(local, prediction(0, 0.9), degraded="overload"),
    ],
    ids=["damaged", "no image", "degraded"],
)
def test_what_says_nothing_of_the_traffic_is_left_out(
    always: Audited, local: LocalTask, left_out: Callable[[LocalTask], Outcome]
) -> None:
    always.audits.answered(left_out(local))
    assert not always.waiting
    assert not always.measures(TASK)


def test_an_escalated_answer_is_compared_for_free(always: Audited, local: LocalTask) -> None:
    always.audits.answered(outcome(local, prediction(0, 0.4), prediction(1, 0.9)))
    assert not always.waiting
    bins = Bins.read(always.measures(TASK))
    assert bins.compared.sum() == bins.weight.sum() == 1
    assert bins.edge_error.shape == (BINS,)
    assert bins.edge_error.sum() > bins.dc_error.sum()


async def test_without_an_answer_from_above_nothing_is_counted(
    always: Audited, local: LocalTask
) -> None:
    always.answer = None
    always.audits.answered(outcome(local, prediction(0, 0.9)))
    await always.run()
    assert always.asked and not always.measures(TARGET)


def test_a_shift_of_the_confidence_raises_the_share(local: LocalTask) -> None:
    audited = Audited(local, 0.03)
    for _ in range(400):
        audited.audits.answered(outcome(local, prediction(0, 0.3)))
    audited.audits.look("tiny@1")
    assert audited.audits.share("tiny@1") == 0.5


async def test_who_knows_an_agents_id_does_not_know_what_it_audits(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        own = agent.fleet.audits._rng.getstate()
        assert own != random.Random(agent.fleet.agent_id).getstate()
