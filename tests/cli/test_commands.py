"""The command line as users run it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hawkvision.cli.demo import spread_targets
from hawkvision.repository import Repository
from tests.models import LABELS, build_tiny_repository, coloured_jpeg
from tests.processes import Service, edge, gateway


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hawkvision.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def agent(repository: Path) -> Iterator[Service]:
    with gateway(repository) as dc, edge(repository, dc.address) as service:
        yield service


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for label in LABELS:
        folder = root / "val" / label
        folder.mkdir(parents=True)
        for index in range(15):
            (folder / f"{label}{index}.jpg").write_bytes(coloured_jpeg(label, seed=index + 1))
    return root


def test_classify_prints_a_line_for_each_image(agent: Service, photos: Path) -> None:
    images = [str(photos / "val" / "red" / f"red{index}.jpg") for index in (0, 1)]
    done = run("classify", *images, "--accuracy", "0.9", "--url", f"http://{agent.address}")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2


def test_classify_fails_when_an_image_does(agent: Service, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    done = run("classify", str(tmp_path / "bad.jpg"), "--url", f"http://{agent.address}")
    assert (done.returncode, "not an image" in done.stderr) == (1, True)


def test_evaluate_reports_each_target(agent: Service, photos: Path, tmp_path: Path) -> None:
    result = tmp_path / "evaluation.json"
    done = run(
        *("evaluate", "--data", str(photos), "--split", "val", "--accuracy", "0.5,0.95,0.9999"),
        *("--url", f"http://{agent.address}", "--json", str(result)),
    )
    assert done.returncode == 0, done.stderr
    low, high, refused = json.loads(result.read_text())["results"]
    assert (low["n"], high["n"], refused["n"]) == (60, 60, 0)
    assert low["achieved"] < high["achieved"]
    assert low["escalation_rate"] < high["escalation_rate"]
    assert (high["certified"], refused["certified"]) == (True, False)
    assert high["edge_bytes_up"] > low["edge_bytes_up"]


def test_evaluate_refuses_unknown_class_folders(agent: Service, tmp_path: Path) -> None:
    (tmp_path / "val" / "mauve").mkdir(parents=True)
    (tmp_path / "val" / "mauve" / "x.jpg").write_bytes(coloured_jpeg("red"))
    options = ("--data", str(tmp_path), "--split", "val", "--accuracy", "0.9")
    done = run("evaluate", *options, "--url", f"http://{agent.address}")
    assert (done.returncode, "mauve" in done.stderr) == (1, True)


def test_no_agent_is_one_line_and_a_hint() -> None:
    done = run(
        "evaluate", "--data", "roadsigns:5", "--accuracy", "0.9", "--url", "http://127.0.0.1:9"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: no agent answers")
    assert "Traceback" not in done.stderr


def test_models_show_and_verify(repository: Path, tmp_path: Path) -> None:
    result = tmp_path / "show.json"
    root = ("--model-repository", str(repository))
    assert run("models", "show", "tiny", *root, "--json", str(result)).returncode == 0
    targets = [row for row in json.loads(result.read_text())["targets"] if row["certified"]]
    assert [t["threshold"] for t in targets] == sorted(t["threshold"] for t in targets)
    assert "tiny" in run("models", "list", *root).stdout
    assert run("models", "verify", *root).returncode == 0


def test_models_verify_finds_damage(tmp_path: Path) -> None:
    root = build_tiny_repository(tmp_path)
    (root / "tiny" / "1" / "dc.onnx").write_bytes(b"damage")
    done = run("models", "verify", "--model-repository", str(root))
    assert (done.returncode, "does not match its digest" in done.stdout) == (1, True)


def test_the_demo_s_last_target_is_out_of_reach(repository: Path) -> None:
    curve = Repository(repository).open("tiny").scores().curve()
    *within, beyond = spread_targets(curve)
    assert all(target <= curve.highest_certifiable for target in within)
    assert beyond > curve.highest_certifiable
