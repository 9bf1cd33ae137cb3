"""A network put into the chain of a published task: the next version, with everything it needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from hawkvision.datasets import LabelledImage, LabelledSet, in_memory
from hawkvision.repository import Repository, read_task, write_task
from models.recipes.middle import main
from tests.models import LABELS, build_tiny_repository, classifier, coloured_jpeg

OLD = {"parameters": 1.0, "mmac": 2.0, "agreement": 0.99}
TRAINED = {"rung": "medium", "recipe": {"seed": 1}, "parameters": 5, "macs": 7_000_000}


def images(first: int, count: int) -> LabelledSet:
    seeds = range(first, first + count)
    return in_memory(
        (LabelledImage(coloured_jpeg(LABELS[i % 4], i), LABELS[i % 4], f"{i}.jpg") for i in seeds),
        LABELS,
    )


def label(model: onnx.ModelProto, path: Path) -> None:
    onnx.helper.set_model_props(model, {"labels": json.dumps(LABELS)})
    onnx.save(model, path)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A repository with the tiny task as `publish` leaves one, and a trained network beside it."""
    root = build_tiny_repository(tmp_path / "zoo")
    task = read_task(root / "tiny" / "1")
    for rung in task.rungs:
        label(onnx.load(rung.model.path), rung.model.path)
    unsealed = (replace(one, sha256="", measured=OLD) for one in task.rungs)
    write_task(replace(task, rungs=tuple(unsealed)))
    known = {name: {"seed": place} for place, name in enumerate(("edge", "dc"))}
    record = {"task": "tiny", "recipes": known, "rungs": known, "flavours": {"of": "version 1"}}
    (task.folder / "training.json").write_text(json.dumps(record))
    label(classifier(20), tmp_path / "medium.onnx")
    trained = json.dumps({**TRAINED, "int8_fp32_agreement": 0.98})
    (tmp_path / "medium.json").write_text(trained)
    return root


def test_the_next_version_has_the_rung_in_its_place(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = images(1, 140), images(500, 40)
    monkeypatch.setattr("models.recipes.middle.held_out", lambda name, data: parts)
    options = [
        "tiny",
        "--rung",
        str(published.parent / "medium.onnx"),
        "--repository",
        str(published),
    ]
    result = CliRunner().invoke(main, options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    task = Repository(published).open("tiny")
    assert task.version == "2" and [rung.name for rung in task.rungs] == ["edge", "medium", "dc"]
    assert [rung.threshold is None for rung in task.rungs] == [True, False, True]
    assert [rung.measured["parameters"] for rung in task.rungs] == [1, 5, 1]
    assert all(rung.measured["milliseconds"] > 0 for rung in task.rungs)
    assert task.numerics is not None and task.numerics.references.exists()
    record = json.loads((task.folder / "training.json").read_text())
    assert list(record["rungs"]) == ["edge", "medium", "dc"] and "flavours" not in record
    assert record["images"] == {"thresholds": len(task.scores()), "report": 40}
    assert 0.5 < record["chain_accuracy_reported"] <= 1
