"""The command that writes the ladder: files that run, and a record that says what is known."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from hawkvision.datasets import open_labelled
from hawkvision.engines import onnx_runtime
from hawkvision.repository import Repository, shipped_repository
from models.recipes.ladder.__main__ import main
from models.recipes.ladder.measure import accuracies
from models.recipes.ladder.variants import FILES, TASK, VARIANTS, Variant, int8_file

PHOTOS = Path(os.environ.get("HAWKVISION_DATA", "")) / "imagenette.tar.gz"


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnx_runtime().InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, {"image": images})[0])


def written(out: Path, *options: str) -> tuple[dict[str, Any], str]:
    result = CliRunner().invoke(main, ["--out", str(out), *options])
    assert result.exit_code == 0, result.output
    return json.loads((out / "ladder.json").read_text()), result.output


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_without_photos_accuracies_are_the_recorded_ones_and_it_says_so(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWKVISION_DATA", raising=False)
    found, said = written(tmp_path, "--only", "tiny", "--precision", precision)
    (row,) = found["variants"]
    kept = json.loads((FILES / f"{precision}.json").read_text())["variants"]
    assert row["accuracy"] == next(one["accuracy"] for one in kept if one["name"] == "tiny")
    assert "no photos" in said and found["accuracy_measured"] is False
    onnx.checker.check_model(onnx.load(tmp_path / row["file"]), full_check=True)
    assert row["milliseconds"] > 0 and row["load_milliseconds"] > 0
    assert row["kilobytes"] == pytest.approx((tmp_path / row["file"]).stat().st_size / 1e3, abs=0.1)


def test_accuracies_of_another_network_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWKVISION_DATA", raising=False)
    other = int8_file(Repository(shipped_repository()).open("roadsigns"), "edge")
    monkeypatch.setattr("models.recipes.ladder.__main__.int8_file", lambda task, rung: other)
    found, said = written(tmp_path, "--only", "tiny")
    assert found["variants"][0]["accuracy"] is None and "not measured" in said


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_the_record_is_of_the_files_that_are_here(precision: str) -> None:
    task = Repository(shipped_repository()).open(TASK)
    kept = json.loads((FILES / f"{precision}.json").read_text())["variants"]
    assert [row["name"] for row in kept] == [one.name for one in VARIANTS]
    for row, variant in zip(kept, VARIANTS, strict=True):
        data = int8_file(task, variant.rung).read_bytes()
        assert row["source_sha256"] == hashlib.sha256(data).hexdigest()
        assert row["input_side"] == (variant.side or row["input_side"])


def test_a_network_takes_smaller_images_with_and_without_their_mirror_images() -> None:
    source = int8_file(Repository(shipped_repository()).open(TASK), "medium")
    averaging = Variant("small", "medium", side=64)
    images = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    views = (images, images[:, :, ::-1])
    both = [run(averaging.model(source, "fp32"), view) for view in views]
    single = [run(replace(averaging, mirror=False).model(source, "fp32"), view) for view in views]
    np.testing.assert_allclose(both[0], both[1], atol=1e-4)
    np.testing.assert_allclose(both[0], sum(single) / 2, atol=1e-4)
    assert not np.allclose(single[0], single[1], atol=1e-2)


@pytest.mark.data
@pytest.mark.skipif(
    "HAWKVISION_DATA" not in os.environ or not PHOTOS.exists(),
    reason="set HAWKVISION_DATA to a folder with imagenette.tar.gz to test on real photos",
)
def test_photos_give_the_recorded_accuracy() -> None:
    task = Repository(shipped_repository()).open(TASK)
    images = list(open_labelled(PHOTOS, "val"))[::8]
    found = accuracies(int8_file(task, "tiny"), task.kind, images[::2], images[1::2])
    kept = json.loads((FILES / "int8.json").read_text())["variants"][0]
    assert found["images"] + found["images_calibrating"] == 239
    assert found["accuracy_all"] == pytest.approx(kept["accuracy_all"], abs=0.1)
