"""From a stranger's models to answers over HTTP: calibrate, serve, and keep the targets."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from hawkvision.cli.evaluate import evaluate
from hawkvision.client import Client
from hawkvision.errors import TargetUnreachable, UnknownTask
from hawkvision.taskbuild.build import BuildRequest, Progress, build_task
from hawkvision.taskbuild.sources import parse_source
from tests.models import coloured_jpeg
from tests.processes import Service, edge, gateway
from tests.taskbuild.exports import beside, put_label_first
from tests.taskbuild.strangers import photos, write_large, write_photos, write_small


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stranger")
    small, large = write_small(folder), write_large(folder)
    put_label_first(small)  # as scikit-learn's converters do
    beside(onnx.load(large), large)  # as PyTorch does
    models = (
        parse_source(f"{small},labels={folder}/small.txt,fit=stretch"),
        parse_source(f"{large},labels={folder}/large.txt,name=middle"),
        parse_source(f"{large},labels={folder}/large.txt,name=big"),
    )
    root = tmp_path_factory.mktemp("repository")
    build_task(BuildRequest("colours", models, photos(700)), root, Progress())
    return root


@pytest.fixture(scope="module")
def agent(repository: Path) -> Service:  # type: ignore[misc]
    with gateway(repository) as dc, edge(repository, dc.address) as service:
        yield service


async def test_certified_targets_hold_on_new_images(agent: Service, tmp_path: Path) -> None:
    with Client(f"http://{agent.address}") as client:
        highest = client.tasks()[0].highest_certifiable
    targets: list[float | str] = [
        round(highest - 0.1, 3),
        round(highest, 3),
        "relative:0.05",
        "relative:0.01",
    ]
    _, rows, _ = await evaluate(
        url=f"http://{agent.address}",
        data=str(write_photos(tmp_path, 400)),
        split="val",
        task=None,
        targets=targets,
        limit=None,
        concurrency=4,
    )
    low, high, wide, narrow = rows
    assert all(row.certified and row.n == 400 for row in rows)
    for row, target in ((low, targets[0]), (high, targets[1])):
        assert (row.ci_high or 0) >= float(target)
    assert (low.escalation_rate or 0) < (high.escalation_rate or 0)
    assert (wide.escalation_rate or 0) <= (narrow.escalation_rate or 0)
    assert wide.target == "relative:0.05"


def test_an_answer_echoes_a_relative_target(agent: Service) -> None:
    with Client(f"http://{agent.address}") as client:
        answer = client.classify(coloured_jpeg("red", 3), accuracy="relative:0.02")
        assert answer.accuracy.target == "relative:0.02" and answer.certified
        with pytest.raises(TargetUnreachable):
            client.classify(coloured_jpeg("red", 3), accuracy=0.9999)


def test_the_curve_is_the_one_that_serves(agent: Service) -> None:
    with Client(f"http://{agent.address}") as client:
        curve = client.curve("colours")
        row = next(row for row in curve["targets"] if row["certified"])
        answer = client.classify(coloured_jpeg("blue", 5), accuracy=row["target"])
        assert answer.accuracy.threshold == row["threshold"]
        assert client.curve("colours", link_ms=500)["link_ms"] == 500
        with pytest.raises(UnknownTask):
            client.curve("nope")
    assert [level["loss"] for level in curve["levels"]] == [
        0,
        0.05,
        0.05,
        0.1,
        0.1,
        0.2,
        0.2,
        0.3,
        0.3,
    ]
