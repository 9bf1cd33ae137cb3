"""The shipped task cifar10: its file for CPUs, its plans, and on photos what it certifies."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.network.files import load_network
from fpga.network.folding import legal
from fpga.network.plan import Plan, load_plan, save_plan
from fpga.network.profiles import first_plan
from fpga.tools.measure import accuracy
from hawkvision.cli.evaluate import evaluate
from hawkvision.cli.main import cli
from hawkvision.datasets import open_labelled
from hawkvision.engines import open_engine
from hawkvision.repository import Repository, shipped_repository
from tests.fpga.marks import needs_verilator, needs_yosys
from tests.fpga.networks import plan_for, random_network
from tests.processes import edge, gateway

TASK = Repository(shipped_repository()).open("cifar10")
PHOTOS = Path(os.environ.get("HAWKVISION_DATA", "")) / "cifar10.tar.gz"
needs_photos = pytest.mark.skipif(
    "HAWKVISION_DATA" not in os.environ or not PHOTOS.exists(),
    reason="set HAWKVISION_DATA to a folder with cifar10.tar.gz to test on real photos",
)


def test_the_file_for_cpus_and_the_network_for_hardware_are_the_same() -> None:
    network = load_network(TASK.folder / "edge.fpga.npz")
    engine = open_engine(TASK.rungs[0].model, threads=1)
    pictures = np.random.default_rng(1).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    found = next(iter(engine.infer(pictures.transpose(0, 3, 1, 2)).values()))
    engine.close()
    assert np.array_equal(found, (network(pictures) * network.head.scale).astype(np.float32))
    record = json.loads((TASK.folder / "training.json").read_text())
    assert record["rungs"]["accurate"]["digest"] == f"{network.digest:08x}"
    assert record["rungs"]["accurate"]["agreement"] >= 0.999


@pytest.mark.parametrize("name", ["edge", "fast"])
def test_the_plans_are_whole_and_can_be_built(name: str) -> None:
    plan: Plan = load_plan(TASK.folder / f"{name}.fpga.npz")
    assert plan.profile == {"edge": "accurate", "fast": "fast"}[name]
    again = first_plan(plan.network, plan.profile)
    assert (again.folding, again.packed) == (plan.folding, plan.packed)
    for conv in (part.conv for part in plan.network.convolutions()):
        assert plan.folding[conv.name] in list(legal(conv))
        limit = (1 << (conv.weight_bits - 1)) - 1
        assert np.abs(conv.weights).max() <= limit and conv.accumulator_bits <= 24


@needs_photos
@pytest.mark.data
def test_integers_are_as_accurate_on_photos_as_recorded() -> None:
    """On one photo in five, spread over the classes; the digest names what was measured on all."""
    record = json.loads((TASK.folder / "training.json").read_text())["rungs"]
    whole = open_labelled(PHOTOS, "test")
    photos = whole.part(whole.members[::5])
    for name, file in (("accurate", "edge"), ("fast", "fast")):
        network = load_network(TASK.folder / f"{file}.fpga.npz")
        assert record[name]["digest"] == f"{network.digest:08x}"
        expected = record[name]["integer_top1"]
        spread = math.sqrt(expected * (1 - expected) / len(photos))
        assert accuracy(network, photos, TASK.kind.truth) == pytest.approx(expected, abs=3 * spread)


@needs_photos
@pytest.mark.data
async def test_certified_targets_hold_on_photos() -> None:
    highest = TASK.scores().curve().highest_certifiable
    targets = [round(highest - 0.03, 3), round(highest - 0.005, 3)]
    with (
        gateway(shipped_repository(), "--task", "cifar10") as dc,
        edge(shipped_repository(), dc.address, "--task", "cifar10") as agent,
    ):
        _, rows, _ = await evaluate(
            url=f"http://{agent.address}",
            data=str(PHOTOS),
            split="test",
            task=None,
            targets=targets,
            limit=1000,
            concurrency=4,
        )
    assert all(row.certified and row.failed == 0 for row in rows)
    assert all((row.ci_high or 0) >= float(row.target) for row in rows)


def test_packing_the_shipped_task_takes_its_files(tmp_path: Path) -> None:
    for name in ("a.bit", "a.hwh"):
        (tmp_path / name).write_bytes(b"x")
    files = ["--bit", str(tmp_path / "a.bit"), "--hwh", str(tmp_path / "a.hwh")]
    out = tmp_path / "board.tar.gz"
    assert not cli(["fpga", "package", *files, "--out", str(out)], standalone_mode=False)
    assert out.stat().st_size > 1000


@needs_verilator
@needs_yosys
def test_a_report_has_every_figure_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HAWKVISION_DATA", raising=False)
    network = random_network(8, (2,), 1, seed=1)
    plan = plan_for(network, 640)
    file, out, figure = tmp_path / "plan.npz", tmp_path / "r.json", tmp_path / "r.svg"
    save_plan(plan, file)
    arguments = ["fpga", "report", "--plan", str(file), "--images", "6", "--json", str(out)]
    assert not cli([*arguments, "--figure", str(figure)], standalone_mode=False)
    found = json.loads(out.read_text())
    assert found["bit_exact_images"] == found["bit_exact_images_stalled"] == found["images"] == 6
    assert found["top1"] is None and found["pictures"] == "random"
    assert 0 < found["interval_cycles"] <= found["latency_cycles"]
    assert found["lut"] > 300 and found["ff"] > 300 and found["dsp"] >= 4
    assert found["bram36"] == sum(layer["bram36"] for layer in found["layers"])
    assert {row["part"] for row in found["layers"]} >= {"stem", "head", "framer", "control"}
    assert figure.read_text().startswith("<svg xmlns")
    said = capsys.readouterr()
    assert "accuracy is not measured" in said.err and "fpgaConvNet" in said.out
