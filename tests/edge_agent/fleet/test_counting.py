"""Outcomes become counts and request ids; feedback is judged by the id alone."""

from __future__ import annotations

import pytest

from edge_agent.fleet.counting import FEEDBACK_S, Counting
from edge_agent.local import LocalTask
from hawkvision.tracking.counts import Delivered
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.delivery import Counters
from tests.edge_agent.agents import outcome, prediction

NOW = 1e9
KEY = CountKey("tiny@1", "gate", "0.8")


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def counting(local: LocalTask, counters: Counters) -> Counting:
    return Counting(counters.add, {"tiny@1": local.task.kind})


def delivered(counters: Counters) -> Delivered:
    batch = counters.take(NOW)
    assert batch is not None
    return Delivered.read(batch.counts[KEY])


def test_an_answer_is_counted_for_its_app_and_target(
    counting: Counting, counters: Counters, local: LocalTask
) -> None:
    edge, dc = prediction(0, 0.4), prediction(1, 0.9)
    counting.answered(outcome(local, edge, app="gate"), NOW)
    counting.answered(outcome(local, edge, dc, app="gate"), NOW)
    counting.answered(outcome(local, edge, app="gate", degraded="deadline"), NOW)
    found = delivered(counters)
    assert (found.answered_by("edge"), found.answered_by("dc")) == (2, 1)
    assert found.confidence == {"edge": pytest.approx(0.8), "dc": pytest.approx(0.9)}
    assert found.degraded == {"deadline": 1.0}


def test_targets_that_differ_beyond_the_third_digit_share_a_counter(
    counting: Counting, counters: Counters, local: LocalTask
) -> None:
    for index in range(200):
        for accuracy in (f"0.800{index:03}", f"relative:0.0200{index:03}"):
            counting.answered(outcome(local, prediction(0, 0.9), accuracy=accuracy), NOW)
    batch = counters.take(NOW)
    assert batch is not None
    assert {key.target for key in batch.counts} == {"0.8", "relative:0.02", "*"}


def test_an_id_tells_what_was_answered_for_a_day(counting: Counting, local: LocalTask) -> None:
    edge, dc = prediction(0, 0.4), prediction(1, 0.9)
    request_id = counting.answered(outcome(local, edge, dc, app="gate"), NOW)
    receipt = counting.receipt(request_id, NOW + FEEDBACK_S - 1)
    assert receipt is not None
    assert (receipt.task, receipt.app, receipt.target) == ("tiny@1", "gate", "0.8")
    assert receipt.escalated
    assert counting.receipt(request_id, NOW + FEEDBACK_S + 2) is None
    forged = "AA" if request_id[-4:-2] != "AA" else "BB"
    assert counting.receipt(request_id[:-4] + forged + request_id[-2:], NOW) is None


def test_ids_of_the_time_before_the_fleet_s_key_stay_good(
    counting: Counting, local: LocalTask
) -> None:
    early = counting.answered(outcome(local, prediction(0, 0.9)), NOW)
    counting.key = b"k" * 32
    late = counting.answered(outcome(local, prediction(0, 0.9)), NOW)
    assert counting.receipt(early, NOW) and counting.receipt(late, NOW)


def test_an_id_of_a_task_that_is_not_served_is_nobody_s(
    counting: Counting, local: LocalTask
) -> None:
    other = Counting(lambda *_: None, {"other": local.task.kind})
    other.key = counting.key
    request_id = counting.answered(outcome(local, prediction(0, 0.9)), NOW)
    assert other.receipt(request_id, NOW) is None


def test_feedback_for_an_answer_is_taken_once(counting: Counting, local: LocalTask) -> None:
    receipt = counting.receipt(
        counting.answered(outcome(local, prediction(0, 0.9)), NOW),
        NOW,
    )
    assert receipt is not None
    assert [counting.first(receipt), counting.first(receipt)] == [True, False]
    assert counting.first(receipt._replace(number=receipt.number + 1))


def test_the_truth_judges_both_rungs(
    counting: Counting, counters: Counters, local: LocalTask
) -> None:
    escalated = outcome(local, prediction(0, 0.4), prediction(1, 0.9), app="gate")
    receipt = counting.receipt(counting.answered(escalated, NOW), NOW)
    assert receipt is not None
    counting.fed_back(receipt, local.task.kind.parse_feedback({"label": "green"}))
    batch = counters.take(NOW)
    assert batch is not None
    measures = batch.counts[KEY]
    assert measures["feedback/dc/right"] == 1.0
    assert measures["pair/n"] == measures["pair/dc"] == 1.0


def test_uncounted_answers_have_ids_that_differ(counting: Counting) -> None:
    ids = {counting.plain_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(counting.receipt(one, NOW) is None for one in ids)
