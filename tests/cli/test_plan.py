"""`hawkvision plan`, whole: tables, JSON, exit codes, costs that are measured and kept."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cli.measuring import Measuring, measure
from hawkvision.cli.plan import command
from hawkvision.cli.stand_ins import photos_in, stand_ins
from hawkvision.errors import DatasetError, HawkVisionError
from hawkvision.images import decode
from hawkvision.planning.cost_files import as_json
from hawkvision.repository import Repository, shipped_repository
from tests.models import LABELS, build_tiny_repository, coloured_jpeg


def plan(*words: str, task: str = "roadsigns") -> Result:
    return CliRunner().invoke(command, ["--task", task, *words])


def test_a_plan_of_road_signs(tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    words = ["--rate", "50", "--targets", "0.80:1,0.90:2,0.95:1", "--rungs", "1"]
    found = plan(*words, "--link", "lte", "--edge-cores", "2", "--json", str(out))
    assert found.exit_code == 0, found.output
    assert "carried: 50 images/s" in found.output
    assert "agents like this at one gateway of 1 core" in found.output
    assert max(map(len, found.output.splitlines())) <= 80
    body = json.loads(out.read_text())
    assert [row["accuracy"] for row in body["rows"]] == [0.8, 0.9, 0.95]
    assert body["asked"]["link"] == {"rtt_ms": 50, "mbit": 20, "down_mbit": 60}
    assert body["carried"] is True and body["costs"]["task"] == "roadsigns"
    assert body["overall"]["p99_ms"] > 50 > body["overall"]["p50_ms"]


def test_wide_numbers_stay_within_80_columns() -> None:
    words = ["--rate", "0.5", "--targets", "0.80,0.97,relative:0.005", "--link", "satellite"]
    slow = plan(*words, "--edge-slower", "500", "--rungs", "1", "--deadline-ms", "60000")
    fast = plan(*words, "--rungs", "auto", "--memory", "1GB", "--gateway-cores", "64")
    for found in (slow, fast):
        assert max(map(len, found.output.splitlines())) <= 80, found.output


def test_a_rate_that_cannot_be_carried_exits_1() -> None:
    found = plan("--rate", "100000", "--targets", "0.9", "--rungs", "1")
    assert found.exit_code == 1
    assert "NOT CARRIED: edge CPU is used up first" in found.output


def test_a_cut_that_carries_it_is_named() -> None:
    words = ["--rate", "20", "--targets", "0.9", "--link", "satellite", "--deadline-ms", "300"]
    found = plan(*words, "--rungs", "1")
    assert found.exit_code == 1
    assert "NOT CARRIED at any rate" in found.output and "--rungs 2 carries it" in found.output


def test_the_default_target_is_the_task_s(tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    assert plan("--rate", "1", "--json", str(out)).exit_code == 0
    assert [row["accuracy"] for row in json.loads(out.read_text())["rows"]] == [0.95]


def test_a_user_s_only_task_needs_no_name(tmp_path: Path) -> None:
    root = build_tiny_repository(tmp_path)
    words = ["--rate", "1", "--targets", "relative:0.05", "--model-repository", str(root)]
    found = CliRunner().invoke(command, words)
    assert found.exit_code == 0 and "tiny version 1" in found.output


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--rate", "0"], "0.001<=x"),
        (["--rate", "1", "--rungs", "0"], "neither 'auto'"),
        (["--rate", "1", "--memory", "lots"], "no size"),
        (["--rate", "1", "--photos", "."], "--photos goes with --measure"),
    ],
)
def test_bad_usage(words: list[str], fault: str) -> None:
    found = plan(*words)
    assert found.exit_code == 2 and fault in found.output


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--rate", "nan"], "a rate of nan"),
        (["--deadline-ms", "nan"], "a deadline of nan"),
        (["--audit-share", "nan"], "an audit share of nan"),
        (["--edge-slower", "nan"], "costs:"),
        (["--targets", "0.999"], "cannot be certified"),
        (["--targets", "0.9:x"], "targets:"),
        (["--link", "pigeon"], "link:"),
        (["--rungs", "9"], "2 rungs, not 9"),
    ],
)
def test_what_cannot_be_planned(words: list[str], fault: str) -> None:
    found = plan("--rate", "1", *words)
    assert isinstance(found.exception, HawkVisionError)
    assert fault in str(found.exception)


def test_several_tasks_want_a_name() -> None:
    found = CliRunner().invoke(command, ["--rate", "1"])
    assert found.exit_code == 2 and "cifar10, imagenette, roadsigns" in found.output


def test_stand_ins_are_about_as_large_as_the_calibration_images() -> None:
    for name in ("imagenette", "roadsigns", "cifar10"):
        scores: CalibrationScores = Repository(shipped_repository()).open(name).scores()
        sizes = [len(one) for one in stand_ins(scores)]
        assert sum(sizes) / len(sizes) == pytest.approx(scores.image_bytes.mean(), rel=0.2)


def test_stand_ins_have_the_pixels_of_photos_of_that_size() -> None:
    """Of Imagenette's, which are 224 pixels high and wide."""
    scores = Repository(shipped_repository()).open("imagenette").scores()
    pixels = [math.prod(decode(one).shape[:2]) for one in stand_ins(scores)]
    assert sum(pixels) / len(pixels) == pytest.approx(224 * 224, rel=0.3)


def test_photos_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no images"):
        photos_in(tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.JPG").write_bytes(b"photo")
    (tmp_path / "notes.txt").write_bytes(b"text")
    assert photos_in(tmp_path) == [b"photo"]


def test_measured_costs_are_kept_and_planned_with(tmp_path: Path) -> None:
    """A real agent and a real gateway."""
    root = shipped_repository()
    task = Repository(root).open("roadsigns")
    said: list[str] = []
    wanted = Measuring(task, root, stand_ins(task.scores()), 50.0, 10.0, seconds=0.3)
    edge, gateway = measure(wanted, said.append)
    assert len(said) == 3 and edge.source.startswith("measured")
    assert edge.first.cpu_ms > 0 and edge.first.mean_ms > 0 and 0 < edge.first.warm <= 1
    assert gateway.call.cpu_ms > 0 and gateway.rungs[0].cpu_ms > 0
    # What decodes and computes here in two places is one and the same.
    assert [one.cpu_ms for one in edge.rungs] == [one.cpu_ms for one in gateway.rungs]
    path = tmp_path / "costs.json"
    body: dict[str, Any] = {"costs": as_json(edge, gateway, "roadsigns")}
    path.write_text(json.dumps(body))
    files = ["--edge-costs", str(path), "--gateway-costs", str(path)]
    found = plan("--rate", "1", "--targets", "0.9", *files)
    assert found.exit_code == 0 and "costs at the edge: measured" in found.output


def test_an_agent_that_does_not_start_is_said(tmp_path: Path) -> None:
    root = build_tiny_repository(tmp_path)
    task = Repository(root).open("tiny")
    (root / "tiny" / "1" / "edge.onnx").write_bytes(b"no network")
    wanted = Measuring(task, root, [coloured_jpeg(LABELS[0])], 10.0, 10.0, seconds=0.1)
    with pytest.raises(HawkVisionError, match="ended at start"):
        measure(wanted, lambda _text: None)
