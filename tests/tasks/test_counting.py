"""A kind that is no classification goes all the way: certificate, cascade, HTTP, tracking."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from hawkvision.cascade import Accuracy, CascadePolicy
from hawkvision.cli.main import cli
from hawkvision.errors import InvalidRequest, RepositoryError
from hawkvision.repository import Repository, Task, read_task, write_task
from hawkvision.rungs import LoadedRung
from hawkvision.summary import summarise_task
from hawkvision.taskbuild.build import BuildRequest, Progress, build_task
from hawkvision.taskbuild.report.calibration import render
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.tasks import kind_named
from tests.processes import Service, edge, gateway
from tests.tasks.counting import MOST, ROOT, Counting, counter, dots, plugin, scenes


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The kind is found by its entry point, here and in every process that is started."""
    folder = plugin(tmp_path_factory.mktemp("plugin"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
        yield


@pytest.fixture(scope="module")
def repository(registered: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dots/1/`, calibrated by the command line's own code."""
    folder = tmp_path_factory.mktemp("counting")
    sources = []
    for name, columns in (("edge", 16), ("dc", 32)):
        onnx.save(counter(columns), folder / f"{name}.onnx")
        sources.append(ModelSource(folder / f"{name}.onnx", fit="stretch"))
    request = BuildRequest(
        "dots", tuple(sources), scenes(900), kind="counting", loss_levels=(0.0, 0.2)
    )
    build_task(request, folder / "repository", Progress())
    return folder / "repository"


@pytest.fixture(scope="module")
def task(repository: Path) -> Task:
    return Repository(repository).open("dots")


@pytest.fixture(scope="module")
def agent(repository: Path) -> Iterator[Service]:
    with (
        gateway(repository) as dc,
        edge(repository, dc.address, "--audit-share", "0.3") as service,
    ):
        yield service


def ask(agent: Service, method: str, path: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(f"http://{agent.address}{path}", data=body, method=method)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def test_an_unknown_kind_is_named_when_the_task_is_read(task: Task, tmp_path: Path) -> None:
    text = (task.folder / "task.toml").read_text().replace('"counting"', '"weighing"')
    (tmp_path / "task.toml").write_text(text)
    with pytest.raises(RepositoryError, match="'weighing'") as caught:
        read_task(tmp_path)
    assert "counting" in caught.value.hint


def test_a_task_of_the_kind_is_kept_as_it_was_written(task: Task) -> None:
    file = task.folder / "task.toml"
    before = file.read_text()
    write_task(read_task(task.folder))
    assert file.read_text() == before
    assert isinstance(task.kind, kind_named("counting"))
    assert task.rungs[0].model.outputs == ("count", "spread")


def test_graded_losses_are_certified_by_betting(task: Task) -> None:
    """The certificate holds on a hundred times as many images as it was made of."""
    scores = task.scores()
    assert not scores.binary and scores.items is None
    assert np.count_nonzero((scores.rung_loss > 0) & (scores.rung_loss < 1)) > 0
    policy = CascadePolicy(scores, 0.8)
    edge, dc = (LoadedRung.open(rung, task.kind) for rung in task.rungs)
    low, high = scores.edge_accuracy(), policy.highest_certifiable
    assert low < high
    target = policy.resolve(Accuracy((low + high) / 2))
    assert 0 < target.expected_escalation_rate < 1
    losses, escalated = [], 0
    for image in scenes(3000, seed=7):
        truth = task.kind.truth(image.label)
        answer = edge.predict([edge.prepare(image.data)])[0]
        if not CascadePolicy.answers_locally(answer, target):
            escalated += 1
            answer = dc.predict([dc.prepare(image.data)])[0]
        losses.append(task.kind.loss(answer, truth))
    edge.close()
    dc.close()
    assert 1 - np.mean(losses) >= target.accuracy.value
    assert escalated / 3000 == pytest.approx(target.expected_escalation_rate, abs=0.06)


def test_a_calibration_report_has_no_table_of_classes(task: Task) -> None:
    scores = task.scores()
    page = render(task, scores, summarise_task(task, scores))
    assert "scale" in page and "dots" in page


def test_the_cascade_answers_over_http_with_the_kind_s_own_fields(agent: Service) -> None:
    info = ask(agent, "GET", "/v1/tasks/dots")
    assert info["kind"] == "counting" and info["labels"] == []
    served = set()
    for index in range(60):
        count = index % (MOST + 1)
        body = ask(agent, "POST", "/v1/classify?accuracy=0.9", dots(count, 70_000 + index))
        served.add(body["served_by"])
        assert 0 <= body["confidence"] <= 1 and "label" not in body
        assert abs(body["count"] - count) < 6
        if body["served_by"] == "dc":
            assert abs(body["count"] - count) < 1
    assert served == {"edge", "dc"}


def test_the_gateway_announces_the_kind_s_tensors(agent: Service) -> None:
    outputs = ask(agent, "GET", "/v2/models/dots")["outputs"]
    assert [(one["name"], one["shape"]) for one in outputs] == [
        ("count", [-1, 1]),
        ("confidence", [-1, 1]),
        ("certified", [-1]),
        ("served_by", [-1]),
        ("request_id", [-1]),
    ]


async def test_feedback_audits_and_escalations_are_counted(agent: Service) -> None:
    errors = []
    for index in range(40):
        count = index % (MOST + 1)
        body = ask(agent, "POST", "/v1/classify?accuracy=0.85", dots(count, 80_000 + index))
        feedback = json.dumps({"request_id": body["request_id"], "count": count}).encode()
        assert ask(agent, "POST", "/v1/feedback", feedback)["counted"]
        errors.append(min(1.0, abs(body["count"] - count) / 6))
    found: dict[str, Any] = {}
    while found.get("feedback", {}).get("n") != 40:
        await asyncio.sleep(0.2)
        windows = ask(agent, "GET", "/v1/tasks/dots/accuracy")["windows"]
        found = windows["5m"]["targets"].get("0.85", {}).get("estimates", {})
    assert found["feedback"]["value"] == pytest.approx(1 - np.mean(errors), abs=1e-6)
    assert found["prediction"]["value"] == pytest.approx(1 - np.mean(errors), abs=0.1)


def test_evaluate_reports_the_accuracy_delivered(agent: Service, tmp_path: Path) -> None:
    for image in scenes(60, seed=9):
        path = tmp_path / "val" / image.label / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.data)
    out = tmp_path / "result.json"
    done = CliRunner().invoke(
        cli,
        [
            *("evaluate", "--data", str(tmp_path), "--split", "val", "--accuracy", "0.8,0.999"),
            *("--url", f"http://{agent.address}", "--json", str(out)),
        ],
    )
    assert done.exit_code == 0, done.output
    low, refused = json.loads(out.read_text())["results"]
    assert low["n"] == 60 and low["ci_low"] < low["achieved"] < low["ci_high"]
    assert low["achieved"] > 0.75 and low["degraded_rate"] == 0
    assert not refused["certified"] and refused["n"] == 0


def test_feedback_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="count"):
        Counting().parse_feedback({"label": "three"})
