"""`hawkvision evaluate`: labelled folders and tars to rows per target."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hawkvision.cli.main import cli
from hawkvision.contract.task import TaskInfo
from hawkvision.errors import DatasetError
from hawkvision.taskbuild.traffic import load_images
from tests.client.agent import Agent, serving
from tests.contract.bodies import POWER, TASK


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve "photos", four each of green, gray (an alias) and red."""
    for label in ("green", "gray", "red"):
        folder = tmp_path / "set" / "val" / label
        folder.mkdir(parents=True)
        for number in range(4):
            body = b"escalate" if number == 0 else b"local"
            (folder / f"{label}-{number}.jpg").write_bytes(body)
    return tmp_path / "set"


def evaluate(agent: Agent, data: Path | str, out: Path, *words: str) -> Result:
    base = ["evaluate", "--data", str(data), "--url", agent.url, "--json", str(out)]
    return CliRunner().invoke(cli, [*base, *words])


def rows(out: Path) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads(out.read_text())["results"]
    return results


def test_a_row_reports_what_was_delivered(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with serving() as agent:
        done = evaluate(agent, photos, out, "--split", "val", "--accuracy", "0.80,0.90")
    assert done.exit_code == 0, done.output
    assert [row["target"] for row in rows(out)] == [0.8, 0.9]
    for row in rows(out):
        assert (row["n"], row["achieved"], row["certified"]) == (12, pytest.approx(1 / 3), True)
        assert row["escalation_rate"] == pytest.approx(3 / 12)
        assert row["edge_bytes_up"] == 3 * len(b"escalate")
        assert row["ci_low"] < row["achieved"] < row["ci_high"]
        assert 0 < row["p50_ms"] <= row["p99_ms"]


def test_energy_is_said_for_each_image_and_each_right_answer(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with serving() as agent:
        agent.powers = [POWER, {**POWER, "joules": 126.0, "seconds": 63.0}]
        done = evaluate(agent, photos, out, "--split", "val", "--accuracy", "0.80")
    energy = json.loads(out.read_text())["energy"]
    assert (energy["joules_per_image"], energy["watts"]) == (pytest.approx(6 / 12), 2.0)
    assert energy["joules_per_right_answer"] == pytest.approx(6 / 4)
    assert energy["rails"] == ["board VDD_IN"]
    assert "energy: 0.5 J an image, 1.5 J a right answer; 2 W" in done.output


@pytest.mark.parametrize(
    ("powers", "reason"),
    [
        ([POWER, {**POWER, "reason": "no sensor"}], "no sensor"),
        ([{**POWER, "reason": "only root may"}, POWER], "only root may"),
        ([POWER, POWER], "no sensor was read twice in the interval"),
        ([{"joules": "many"}, POWER], "the agent does not say: the server's reply is not"),
    ],
)
def test_energy_that_is_not_measured_says_why(
    photos: Path, tmp_path: Path, powers: list[dict[str, Any]], reason: str
) -> None:
    out = tmp_path / "out.json"
    with serving() as agent:
        agent.powers = powers.copy()
        done = evaluate(agent, photos, out, "--split", "val", "--accuracy", "0.80")
    energy = json.loads(out.read_text())["energy"]
    assert (done.exit_code, energy["measured"]) == (0, False)
    assert energy["reason"].startswith(reason)
    assert f"energy: not measured: {reason}" in " ".join(done.output.split())


def test_a_target_out_of_reach_gives_a_row_that_says_so(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with serving() as agent:
        done = evaluate(agent, photos, out, "--split", "val", "--accuracy", "0.80,0.99")
    assert done.exit_code == 0
    refused = rows(out)[1]
    assert (refused["target"], refused["n"], refused["achieved"]) == (0.99, 0, None)
    assert (refused["certified"], refused["highest_certifiable"]) == (False, 0.93)


def test_a_folder_that_is_no_label_is_refused(photos: Path, tmp_path: Path) -> None:
    (photos / "val" / "red").rename(photos / "val" / "mauve")
    with serving() as agent:
        done = evaluate(agent, photos, tmp_path / "out", "--split", "val", "--accuracy", "0.8")
    assert isinstance(done.exception, DatasetError)
    assert "mauve" in str(done.exception)
    assert agent.queries == []


def test_splits_are_not_mixed_unasked(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "val", photos / "train")
    with serving() as agent:
        mixed = evaluate(agent, photos, tmp_path / "out", "--accuracy", "0.8")
        done = evaluate(agent, photos, tmp_path / "out", "--split", "val", "--accuracy", "0.8")
    assert isinstance(mixed.exception, DatasetError) and "train (12 images)" in str(mixed.exception)
    assert done.exit_code == 0
    assert "12 images stand in another split too, byte for byte" in done.output


def test_an_image_that_cannot_be_read_fails_the_command_but_not_the_rows(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    (photos / "val" / "red" / "red-1.jpg").write_bytes(b"corrupt")
    with serving() as agent:
        done = evaluate(agent, photos, out, "--split", "val", "--accuracy", "0.8")
    assert done.exit_code == 1
    assert (rows(out)[0]["n"], rows(out)[0]["failed"]) == (11, 1)


def test_a_tar_gives_the_same_images_as_its_folder(photos: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(photos, "set")
    task = TaskInfo.parse(TASK)
    folder = load_images(str(photos), "val", task, None)
    assert load_images(str(tmp_path / "set.tar.gz"), "val", task, None) == folder


def test_a_limit_takes_a_fixed_part_of_mixed_classes(tmp_path: Path) -> None:
    for label in ("red", "green"):
        folder = tmp_path / "val" / label
        folder.mkdir(parents=True)
        for number in range(50):
            (folder / f"{label}-{number}.jpg").write_bytes(f"{label}{number}".encode())
    task = TaskInfo.parse(TASK)
    part = load_images(str(tmp_path), "val", task, 20)
    assert part == load_images(str(tmp_path), "val", task, 20)
    assert part == load_images(str(tmp_path), "val", task, None)[:20]
    assert set(Counter(image.truth for image in part)) == {0, 1}


def test_an_overloaded_agent_is_asked_again(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with serving() as agent:
        agent.overloads = 2
        done = evaluate(agent, photos, out, "--split", "val", "--accuracy", "0.8", "--limit", "3")
    assert done.exit_code == 0
    assert rows(out)[0]["n"] == 3


@pytest.mark.parametrize("source", ["roadsigns:0", "roadsigns:many"])
def test_drawn_traffic_wants_a_number(source: str) -> None:
    with pytest.raises(DatasetError, match="no number"):
        load_images(source, None, TaskInfo.parse(TASK), None)
