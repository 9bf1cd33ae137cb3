"""Pairs of answers, and who judges them: labels first, then the data center, else nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from edge_agent.local import LocalTask
from edge_agent.updates.trial import Compared, Trial
from hawkvision.tasks.classification.prediction import most_probable
from hawkvision.updates.release import Rollout
from tests.models import build_tiny_repository

ROLLOUT = Rollout(label_wait_s=2.0)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalTask:
    repository: Path = build_tiny_repository(tmp_path_factory.mktemp("models"))
    return load_tasks(EdgeConfig(model_repository=repository))["tiny"]


def trial(local: LocalTask, rollout: Rollout = ROLLOUT) -> Trial:
    return Trial(local, local, rollout, agents=1)


def brief(local: LocalTask, label: int) -> bytes:
    probabilities = np.full(4, 0.1, np.float32)
    probabilities[label] = 0.7
    return local.task.kind.brief(most_probable(probabilities))


def counts(one: Trial) -> tuple[int, int, int, int]:
    found = one.evidence
    return found.pairs, found.worse, found.better, found.unjudged


def test_equal_answers_need_no_judge(local: LocalTask) -> None:
    one = trial(local)
    one.compared(Compared(1, brief(local, 2), brief(local, 2)), 0.0)
    assert counts(one) == (1, 0, 0, 0)


def test_a_label_decides_though_the_data_center_says_otherwise(local: LocalTask) -> None:
    one = trial(local)
    one.compared(Compared(1, brief(local, 0), brief(local, 1), losses=(0.9, 0.1)), 0.0)
    assert counts(one) == (0, 0, 0, 0)
    one.labelled(1, 0)
    assert counts(one) == (1, 1, 0, 0)


def test_a_label_may_come_first(local: LocalTask) -> None:
    one = trial(local)
    one.labelled(1, 1)
    one.compared(Compared(1, brief(local, 0), brief(local, 1)), 0.0)
    assert counts(one) == (1, 0, 1, 0)


def test_without_a_label_in_time_the_data_center_decides(local: LocalTask) -> None:
    one = trial(local)
    one.compared(Compared(1, brief(local, 0), brief(local, 1), losses=(0.9, 0.1)), 10.0)
    one.settle(11.9)
    assert counts(one) == (0, 0, 0, 0)
    one.settle(12.0)
    assert counts(one) == (1, 0, 1, 0)
    one.labelled(1, 0)
    assert counts(one) == (1, 0, 1, 0)


def test_without_either_nobody_has_judged(local: LocalTask) -> None:
    one = trial(local)
    one.compared(Compared(1, brief(local, 0), brief(local, 1)), 0.0)
    one.settle(2.0)
    one.compared(Compared(None, brief(local, 0), brief(local, 1)), 2.0)
    assert counts(one) == (2, 0, 0, 2)
    assert one.judged == 0


def test_where_labels_judge_nothing_they_are_not_waited_for(local: LocalTask) -> None:
    one = trial(local, Rollout(judges=("dc",)))
    one.labelled(1, 0)
    one.compared(Compared(1, brief(local, 0), brief(local, 1), losses=(0.9, 0.1)), 0.0)
    assert counts(one) == (1, 0, 1, 0)


def test_what_waits_for_labels_is_bounded(local: LocalTask) -> None:
    one = trial(local)
    for number in range(1000):
        one.compared(Compared(number, brief(local, 0), brief(local, 1)), 0.0)
        one.labelled(100_000 + number, 0)
    assert counts(one)[0] == 1000 - 256
    one.settle(3.0)
    assert counts(one) == (1000, 0, 0, 1000)
