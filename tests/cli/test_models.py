"""`hawkvision models`: list, show, and verify with its faults."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper

from hawkvision.cli.main import cli
from hawkvision.repository import read_task, write_task
from tests.models import build_tiny_repository
from tests.taskbuild.exports import beside


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def repository(sound: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "repository"))


def models(repository: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["models", *words, "--model-repository", str(repository)])


def test_list_names_the_tasks(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert models(repository, "list", "--json", str(out)).exit_code == 0
    (task,) = json.loads(out.read_text())["tasks"]
    assert (task["name"], task["version"], task["rungs"]) == ("tiny", "1", ["edge", "dc"])


def test_list_goes_on_past_a_damaged_task(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "tiny", repository / "hurt")
    (repository / "hurt" / "1" / "task.toml").write_text("schema = 1\n")
    out = tmp_path / "out.json"
    assert models(repository, "list", "--json", str(out)).exit_code == 0
    hurt, tiny = json.loads(out.read_text())["tasks"]
    assert "error" in hurt and "error" not in tiny


def test_show_gives_rising_thresholds_up_to_what_can_be_certified(
    repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    assert models(repository, "show", "tiny", "--json", str(out)).exit_code == 0
    shown = json.loads(out.read_text())
    targets = [row["target"] for row in shown["targets"]]
    assert targets == sorted(targets) and {n / 100 for n in range(80, 90)} <= set(targets)
    certified = [row for row in shown["targets"] if row["certified"]]
    thresholds = [row["threshold"] for row in certified]
    assert thresholds and thresholds == sorted(thresholds)
    assert shown["targets"][: len(certified)] == certified
    assert all(rung["bytes"] > 0 for rung in shown["rungs"])


def test_a_sound_repository_verifies(repository: Path) -> None:
    done = models(repository, "verify")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "tiny/1 calibration: ok",
        "tiny/1 edge: ok",
        "tiny/1 dc: ok",
    ]


@pytest.mark.parametrize("part", ["edge.onnx", "dc.onnx", "calibration.npz"])
def test_a_damaged_file_is_a_fault(repository: Path, part: str) -> None:
    path = repository / "tiny" / "1" / part
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = models(repository, "verify", "tiny")
    assert done.exit_code == 1
    assert f"{part} does not match its digest" in done.output


def test_damaged_weights_beside_a_model_are_a_fault(repository: Path) -> None:
    folder = repository / "tiny" / "1"
    beside(onnx.load(folder / "edge.onnx"), folder / "edge.onnx")
    write_task(read_task(folder))
    assert models(repository, "verify", "tiny").exit_code == 0
    data = folder / "edge.onnx.data"
    data.write_bytes(bytes(data.stat().st_size))
    done = models(repository, "verify", "tiny")
    assert done.exit_code == 1 and "edge.onnx.data does not match its digest" in done.output
    data.unlink()
    done = models(repository, "verify", "tiny")
    assert done.exit_code == 1 and "edge.onnx.data is missing" in done.output


def test_a_damaged_older_version_is_a_fault_too(repository: Path) -> None:
    shutil.copytree(repository / "tiny" / "1", repository / "tiny" / "2")
    (repository / "tiny" / "1" / "task.toml").write_text("not toml")
    done = models(repository, "verify")
    assert done.exit_code == 1
    assert "tiny/2 edge: ok" in done.output


def test_a_model_that_is_not_here_is_no_fault(repository: Path) -> None:
    (repository / "tiny" / "1" / "dc.onnx").unlink()
    done = models(repository, "verify")
    assert done.exit_code == 0
    assert "tiny/1 dc: not here" in done.output


def test_a_model_that_answers_nan_is_a_fault(repository: Path) -> None:
    path = repository / "tiny" / "1" / "edge.onnx"
    model = onnx.load(path)
    (bias,) = [part for part in model.graph.initializer if part.name == "bias"]
    bias.CopyFrom(numpy_helper.from_array(np.full(4, np.nan, np.float32), "bias"))
    onnx.save(model, path)
    write_task(read_task(path.parent))
    done = models(repository, "verify")
    assert done.exit_code == 1
    assert "tiny/1 edge: rung 'edge': the network answered NaN" in done.output


def test_an_empty_folder_does_not_verify(tmp_path: Path) -> None:
    assert models(tmp_path, "verify").exit_code != 0
