"""`hawkvision calibrate` and `quantize` on a stranger's models."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result

from hawkvision.cli.main import cli
from hawkvision.errors import CalibrationError, DatasetError, UnknownTask
from tests.models import LABELS, classifier, coloured_jpeg
from tests.taskbuild.exports import beside
from tests.taskbuild.strangers import write_large, write_photos, write_small


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stranger")
    write_small(folder)
    write_large(folder)
    write_photos(folder / "photos")
    return folder


def calibrate(folder: Path, out: Path, *more: str) -> Result:
    words = [
        "calibrate",
        "--edge",
        f"{folder}/small.onnx,labels={folder}/small.txt,fit=stretch",
        "--dc",
        f"{folder}/large.onnx,labels={folder}/large.txt",
        "--data",
        str(folder / "photos"),
        "--split",
        "val",
        "--out",
        str(out),
        *more,
    ]
    return CliRunner().invoke(cli, words)


def test_models_and_photos_become_a_task_with_a_report(stranger: Path, tmp_path: Path) -> None:
    report, figures = tmp_path / "report.html", tmp_path / "figures.json"
    done = calibrate(stranger, tmp_path / "out", "--report", str(report), "--json", str(figures))
    assert done.exit_code == 0, done.output
    folder = tmp_path / "out" / "photos" / "1"
    assert {path.name for path in folder.iterdir()} == {
        "task.toml",
        "edge.onnx",
        "dc.onnx",
        "calibration.npz",
        "references.npz",
        "report.html",
    }
    assert report.read_text() == (folder / "report.html").read_text()
    body = json.loads(figures.read_text())
    assert body["images"] == 360 and body["highest_certifiable"] > 0.9
    assert any("found by trial" in note for note in body["notes"])
    (trial,) = body["trials"]
    assert (trial["rung"], trial["normalization"], trial["images"]) == ("dc", "imagenet", 60)
    assert trial["runner_up"] in trial["accuracy"] and 0 <= trial["chance"] <= 1
    assert f"{trial['runner_up']!r}" in done.output
    assert trial["runner_up"] in report.read_text()
    assert "highest certified" in done.output and "hawkvision up --task photos" in done.output
    verified = CliRunner().invoke(
        cli, ["models", "verify", "--model-repository", str(tmp_path / "out")]
    )
    assert verified.exit_code == 0
    shown = CliRunner().invoke(
        cli, ["models", "show", "photos", "--model-repository", str(tmp_path / "out")]
    )
    assert "relative to the data center" in shown.output and "sent again whole" in shown.output


def test_files_for_one_engine_become_the_tasks_next_version(stranger: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert calibrate(stranger, out, "--loss-levels", "0").exit_code == 0
    done = calibrate(stranger, out, "--loss-levels", "0", "--flavour", "fast")
    assert done.exit_code == 0, done.output
    folder = out / "photos" / "2"
    assert (folder / "calibration.fast.npz").exists() and (folder / "report.fast.html").exists()
    shown = CliRunner().invoke(cli, ["models", "show", "photos", "--model-repository", str(out)])
    assert "for fast: edge.onnx" in shown.output
    verified = CliRunner().invoke(cli, ["models", "verify", "--model-repository", str(out)])
    assert verified.exit_code == 0 and "photos/2 calibration (fast): ok" in verified.output


def test_a_flavour_needs_the_task_and_its_images(stranger: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert isinstance(calibrate(stranger, out, "--flavour", "fast").exception, UnknownTask)
    assert calibrate(stranger, out, "--loss-levels", "0").exit_code == 0
    words = ["--loss-levels", "0", "--flavour", "fast", "--limit", "300"]
    refused = calibrate(stranger, out, *words).exception
    assert isinstance(refused, CalibrationError) and "not of the same images" in refused.message
    assert not (out / "photos" / "2").exists()


def test_splits_are_not_mixed_unasked(stranger: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 8, split="train")
    write_photos(tmp_path / "photos", 8, split="val")
    words = ["calibrate", "--edge", "a.onnx", "--dc", "b.onnx", "--out", "o"]
    refused = CliRunner().invoke(cli, [*words, "--data", str(tmp_path / "photos")]).exception
    assert isinstance(refused, DatasetError)
    assert "train (8 images), val (8 images)" in refused.message and "--split" in refused.hint


def test_an_unlabelled_folder_is_refused(stranger: Path, tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.jpg").write_bytes(coloured_jpeg("red", seed=index))
    done = calibrate(stranger, tmp_path / "out", "--data", str(tmp_path), "--split", "")
    assert isinstance(done.exception, DatasetError)
    words = ["calibrate", "--edge", "a", "--dc", "b", "--out", "o", "--data", str(tmp_path)]
    flat = CliRunner().invoke(cli, words).exception
    assert isinstance(flat, DatasetError) and "have no labels" in flat.message


@pytest.mark.parametrize(
    ("option", "value"), [("--tiers", "0.8,x"), ("--tiers", "1.2"), ("--loss-levels", "-1")]
)
def test_senseless_numbers_are_usage_errors(
    stranger: Path, tmp_path: Path, option: str, value: str
) -> None:
    done = calibrate(stranger, tmp_path, option, value)
    assert (done.exit_code != 0 and "[0, 1)" in done.output + str(done.exception)) or (
        "list of numbers" in done.output + str(done.exception)
    )


@pytest.mark.parametrize("name", ["../x", "a b", ".hidden", ""])
def test_a_task_needs_a_plain_name(stranger: Path, tmp_path: Path, name: str) -> None:
    done = calibrate(stranger, tmp_path / "out", "--name", name or ".")
    assert isinstance(done.exception, CalibrationError)
    assert not (tmp_path / "out").exists()


def test_quantize_writes_int8_and_says_what_changes(stranger: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "int8.onnx", tmp_path / "figures.json"
    beside(onnx.load(stranger / "large.onnx"), tmp_path / "large.onnx")
    words = [
        "quantize",
        f"{tmp_path}/large.onnx,labels={stranger}/large.txt,normalize=imagenet",
        "--data",
        str(stranger / "photos"),
        "--out",
        str(out),
        "--json",
        str(figures),
    ]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    operators = {node.op_type for node in onnx.load(out).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    body = json.loads(figures.read_text())
    assert body["accuracy_after"] >= body["accuracy_before"] - 0.05
    assert body["same_label"] > 0.9 and 0 <= body["mean_rerouted"] < 0.2
    assert body["images"] == 360 and body["milliseconds_after"] > 0
    with_weights = sum(
        (tmp_path / name).stat().st_size for name in ("large.onnx", "large.onnx.data")
    )
    assert body["kilobytes_before"] == with_weights / 1000
    assert "routing decisions changed" in done.output


def test_a_quantized_or_uint8_network_is_not_quantized_again(stranger: Path) -> None:
    words = ["quantize", f"{stranger}/small.onnx", "--data", str(stranger / "photos")]
    assert isinstance(CliRunner().invoke(cli, words).exception, CalibrationError)


def choose(folder: Path, out: Path, *more: str) -> Result:
    """`calibrate` with three candidates, the largest first."""
    onnx.save(classifier(3), folder / "tiny.onnx")
    tiny = f"{folder}/tiny.onnx,labels={folder}/colours.txt,fit=stretch"
    (folder / "colours.txt").write_text("\n".join(LABELS))
    words = ["calibrate", "--data", str(folder / "photos"), "--split", "val", "--out", str(out)]
    words += ["--candidate", f"{folder}/large.onnx,labels={folder}/large.txt"]
    words += ["--candidate", f"{folder}/small.onnx,labels={folder}/small.txt,fit=stretch"]
    return CliRunner().invoke(cli, [*words, "--candidate", tiny, "--loss-levels", "0", *more])


def test_the_best_chain_of_candidates_becomes_the_task(stranger: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["--targets", "0.8,0.9", "--memory", "1GB", "--json", str(figures)]
    done = choose(stranger, tmp_path / "out", *words)
    assert done.exit_code == 0, done.output
    body = json.loads(figures.read_text())
    chains, chosen = body["chains"], body["chains"]["chosen"]
    assert chosen[-1] == "large" and set(chosen) <= {"tiny", "small", "large"}
    assert (chains["targets"], chains["memory_mb"]) == ([0.8, 0.9], 1000.0)
    assert (chains["fitting_images"], chains["certifying_images"]) == (140, 280)
    assert body["images"] == 280
    assert chains["ranked"][0]["rungs"] == chosen and chains["ranked"][0]["meets"]
    assert {one["name"] for one in chains["candidates"]} == {"tiny", "small", "large"}
    assert f"*{' > '.join(chosen)}" in done.output
    assert max(len(line) for line in done.output.splitlines() if line[0:1] in "┏┃│└") <= 80
    folder = tmp_path / "out" / "photos" / "1"
    assert {path.stem for path in folder.glob("*.onnx")} == set(chosen)
    assert "report.html" in {path.name for path in folder.iterdir()}


def test_targets_that_no_chain_reaches_are_refused(stranger: Path, tmp_path: Path) -> None:
    refused = choose(stranger, tmp_path / "out", "--targets", "0.999").exception
    assert isinstance(refused, CalibrationError) and "accuracy 0.999" in refused.message
    assert "--targets up to" in refused.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--candidate", "a.onnx"], "--candidate needs --targets"),
        (["--candidate", "a.onnx", "--targets", "0.8", "--edge", "b.onnx"], "not both"),
        (["--candidate", "a.onnx", "--targets", "0.8", "--flavour", "fast"], "rungs of its task"),
        (["--edge", "a.onnx"], "--edge and --dc, or several --candidate"),
        (["--edge", "a.onnx", "--dc", "b.onnx", "--targets", "0.8"], "goes with --candidate"),
    ],
)
def test_rungs_are_given_or_chosen(tmp_path: Path, words: list[str], said: str) -> None:
    more = ["--data", str(tmp_path), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, ["calibrate", *more, *words])
    assert done.exit_code == 2 and said in done.output
