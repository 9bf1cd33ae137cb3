"""An engine that does not compute what was certified loses the certificate, visibly."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hawkvision.cli.main import cli
from hawkvision.repository import Repository, read_task, shipped_repository, write_task
from hawkvision.rungs import LoadedRung
from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import edge, gateway

ROOT = Path(__file__).resolve().parents[2]
COARSE = '''
from dataclasses import replace
import numpy as np
from hawkvision.engines.onnx import OnnxEngine

class Coarse(OnnxEngine):
    """Loses most of each output's size, as a careless low-precision engine might."""

    @property
    def metadata(self):
        return replace(super().metadata, device="coarse")

    def infer(self, batch):
        return {name: out * np.float32(0.05) for name, out in super().infer(batch).items()}

def open_coarse(spec, *, threads):
    return Coarse(spec, threads=threads)
'''


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The engine `coarse`, found by its entry point here and in every process that is started."""
    folder = tmp_path_factory.mktemp("coarse")
    (folder / "coarse_engine.py").write_text(COARSE)
    info = folder / "coarse-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coarse\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[hawkvision.engines]\ncoarse = coarse_engine:open_coarse\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
        yield


def ask(address: str, path: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(f"http://{address}{path}", data=body, timeout=60) as reply:
        return json.load(reply)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny task, with reference answers of ONNX Runtime on this machine."""
    from models.recipes.references import add_references

    root = build_tiny_repository(tmp_path_factory.mktemp("tiny"))
    add_references(Repository(root).open("tiny"), "onnx")
    return root


def test_the_certified_engine_keeps_the_certificate(repository: Path) -> None:
    with gateway(repository) as dc, edge(repository, dc.address) as agent:
        certificate = ask(agent.address, "/v1/tasks/tiny")["certificate"]
        answers = [
            ask(agent.address, "/v1/classify?accuracy=0.7", coloured_jpeg("red", seed))
            for seed in range(20)
        ]
    assert certificate["engine"] == "onnx" and certificate["agree"]
    assert all(answer["accuracy"]["certified"] for answer in answers)
    assert all("reason" not in answer["accuracy"] for answer in answers)


@pytest.mark.parametrize(("at_edge", "above"), [("coarse", "onnx"), ("onnx", "coarse")])
def test_answers_of_another_engine_are_not_certified(
    repository: Path, at_edge: str, above: str
) -> None:
    """Only what the engine in question had a part in: at the edge everything, else escalations."""
    with (
        gateway(repository, "--engine", above) as dc,
        edge(repository, dc.address, "--engine", at_edge) as agent,
    ):
        task = ask(agent.address, "/v1/tasks/tiny")
        answers = [
            ask(agent.address, "/v1/classify?accuracy=0.9", coloured_jpeg("red", seed))
            for seed in range(40)
        ]
    assert task["certificate"]["agree"] is (at_edge == "onnx")
    served = {answer["served_by"] for answer in answers}
    assert served == {"edge", "dc"} if at_edge == "onnx" else "dc" in served
    for answer in answers:
        certified = at_edge == "onnx" and answer["served_by"] == "edge"
        assert answer["accuracy"]["certified"] is certified
        assert answer["accuracy"].get("reason") == (None if certified else "numerics")
        assert answer["degraded"] is None


def test_verify_says_which_rung_differs(repository: Path) -> None:
    done = CliRunner().invoke(
        cli, ["models", "verify", "--engine", "coarse", "--model-repository", str(repository)]
    )
    assert done.exit_code == 1
    assert "edge: answers differ from the certified ones" in done.output


def test_a_task_without_references_is_taken_on_trust(tmp_path: Path) -> None:
    task = Repository(build_tiny_repository(tmp_path)).open("tiny")
    rung = LoadedRung.open(task.rungs[0], task.kind, engine="coarse")
    assert rung.agreement.deviation is None and rung.agreement.agree
    rung.close()


@pytest.mark.parametrize("flavour", ["", "tensorrt"])
@pytest.mark.parametrize("name", ["cifar10", "imagenette", "roadsigns"])
def test_the_shipped_certificates_hold_here(name: str, flavour: str) -> None:
    task = Repository(shipped_repository()).open(name, flavour=flavour)
    assert task.flavour == flavour
    assert task.numerics is not None and task.numerics.engine == "onnx"
    for rung in task.rungs:
        loaded = LoadedRung.open(rung, task.kind, reference=task.reference(rung.name))
        loaded.close()
        assert loaded.agreement.deviation is not None and loaded.agreement.agree


def test_damaged_references_are_named(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "tiny" / "1", tmp_path / "tiny" / "1")
    (tmp_path / "tiny" / "1" / "references.npz").write_bytes(b"damage")
    done = CliRunner().invoke(cli, ["models", "verify", "--model-repository", str(tmp_path)])
    assert done.exit_code == 1 and "references.npz does not match its digest" in done.output


def test_a_task_that_was_written_before_certificates_named_engines_still_loads(
    repository: Path, tmp_path: Path
) -> None:
    shutil.copytree(repository / "tiny" / "1", tmp_path / "1")
    write_task(replace(read_task(tmp_path / "1"), numerics=None))
    text = (tmp_path / "1" / "task.toml").read_text()
    assert "numerics" not in text and "kind" not in text
    assert read_task(tmp_path / "1").kind.name == "classification"
