"""Golden probes ask both rungs about labelled images, and say who was right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_agent.fleet.probes import GoldenProbes, Labelled
from edge_agent.local import LocalAnswer, LocalTask
from hawkvision.errors import CorruptImage, DatasetError, Overloaded
from hawkvision.tracking.counts import Pairs
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.delivery import Counters
from tests.edge_agent.agents import prediction
from tests.models import LABELS, coloured_jpeg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, label in enumerate(LABELS):
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.jpg").write_bytes(coloured_jpeg(label, seed=index))
    return tmp_path


class Probed:
    """Probes whose edge always says red and whose data center is told what to say."""

    def __init__(self, local: LocalTask, labelled: Labelled, dc: Any) -> None:
        self.counters = Counters()
        self.errors: list[Mapping[str, float]] = []
        self.edge: Any = LocalAnswer(prediction(0, 0.9), 0.1, 0.1)
        self.dc = dc
        self.probes = GoldenProbes(
            lambda: local,
            labelled,
            self.answer,
            self.ask,
            self.counters.add,
            lambda _task, errors: self.errors.append(errors),
        )

    async def answer(self, _local: LocalTask, _image: bytes) -> LocalAnswer:
        if isinstance(self.edge, Exception):
            raise self.edge
        return self.edge  # type: ignore[no-any-return]

    async def ask(self, _local: LocalTask, _image: bytes, _what: str) -> Any:
        return self.dc


@pytest.fixture
def labelled(local: LocalTask, folder: Path) -> Labelled:
    return Labelled.read(local.task, folder)


async def test_both_rungs_are_judged_by_the_label(local: LocalTask, labelled: Labelled) -> None:
    probed = Probed(local, labelled, prediction(1, 0.9))
    for _ in range(8):
        await probed.probes.probe()
    assert sum(one["edge"] for one in probed.errors) == 6  # of each four images one is red
    assert sum(one["dc"] for one in probed.errors) == 6
    batch = probed.counters.take(0.0)
    assert batch is not None
    assert Pairs.read(batch.counts[CountKey("tiny@1", "", "probes")]) == Pairs(8, 2, 2)


async def test_without_the_data_center_nothing_is_counted(
    local: LocalTask, labelled: Labelled
) -> None:
    probed = Probed(local, labelled, None)
    await probed.probes.probe()
    assert probed.errors == [] and probed.counters.take(0.0) is None


async def test_requests_come_first(local: LocalTask, labelled: Labelled) -> None:
    probed = Probed(local, labelled, prediction(1, 0.9))
    probed.edge = Overloaded("busy")
    await probed.probes.probe()
    assert probed.errors == []


async def test_a_probe_that_cannot_be_answered_is_said(
    local: LocalTask, labelled: Labelled
) -> None:
    probed = Probed(local, labelled, prediction(1, 0.9))
    probed.edge = CorruptImage("it is broken")
    with pytest.raises(DatasetError, match="it is broken"):
        await probed.probes.probe()


def test_labels_of_another_task_are_refused(local: LocalTask, folder: Path) -> None:
    (folder / "purple").mkdir()
    (folder / "purple" / "0.jpg").write_bytes(coloured_jpeg("red"))
    with pytest.raises(DatasetError, match="purple"):
        Labelled.read(local.task, folder)


def test_images_of_all_classes_take_turns(local: LocalTask, tmp_path: Path) -> None:
    for label in LABELS:
        for seed in range(12):
            path = tmp_path / label / f"{label}{seed}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(coloured_jpeg(label, seed=seed))
    first = [label for _, label in Labelled.read(local.task, tmp_path).images[:16]]
    assert set(first) == set(LABELS)
