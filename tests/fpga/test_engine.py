"""The simulated hardware as an engine: the agent's answers are the integer network's."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.engines.simulated import open_simulated
from fpga.network.folding import fold
from fpga.network.network import network_beside
from fpga.network.plan import Plan, generous_skip_depths, save_plan
from fpga.tools.axi_simulation import board_library
from fpga.tools.cache import cache_folder
from fpga.tools.simulate import why_not
from hawkvision.cli.main import cli
from hawkvision.engines import ModelSpec
from hawkvision.errors import EngineError
from hawkvision.images import decode, fit
from hawkvision.repository import Repository
from tests.fpga.networks import images, random_network
from tests.fpga.test_pynq import needs_board, put_board
from tests.models import LABELS, SIDE, build_tiny_repository, coloured_jpeg
from tests.processes import edge

needs_verilator = pytest.mark.skipif(why_not() is not None, reason=f"no Verilator: {why_not()}")
NETWORK = random_network(SIDE, (2, 4), 1, seed=9, classes=len(LABELS))
PLAN = Plan(NETWORK, fold(NETWORK, 20_000), generous_skip_depths(NETWORK), profile="small")


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's designs are compiled."""
    return tmp_path_factory.mktemp("builds")


@pytest.fixture
def kept(tmp_path: Path, builds: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test; builds go to the module's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(builds))
    return tmp_path


@needs_verilator
@pytest.mark.parametrize("engine", ["fpga-sim", pytest.param("pynq", marks=needs_board)])
def test_an_agent_answers_with_the_hardware(
    kept: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = build_tiny_repository(kept / "repository")
    rung = Repository(repository).open("tiny").rungs[0]
    save_plan(PLAN, network_beside(rung.model.path))
    if engine == "pynq":
        put_board(rung.model.path, board_library(PLAN, cache_folder()), monkeypatch)
    photos = [coloured_jpeg(label, seed=seed) for seed, label in enumerate(LABELS)]
    with edge(repository, "127.0.0.1:1", "--engine", engine, "--audit-share", "0") as agent:
        for photo in photos:
            pixels = fit(decode(photo, min_side=SIDE), rung.geometry)
            expected = int(NETWORK(pixels[None])[0].argmax())
            request = urllib.request.Request(
                f"http://{agent.address}/v1/classify?accuracy=0.3", data=photo
            )
            with urllib.request.urlopen(request, timeout=30) as reply:
                answer = json.load(reply)
            assert answer["class_id"] == expected
        with urllib.request.urlopen(f"http://{agent.address}/v1/tasks", timeout=30) as reply:
            running = json.load(reply)["tasks"][0]["engine"]
        assert running["device"] == engine
        cycles = running["measured"]["latency_cycles"]
        assert 20_000 < cycles < 200_000
        if engine == "fpga-sim":
            assert running["measured"]["latency_ms"] == cycles / 1e5
        with urllib.request.urlopen(f"http://{agent.address}/metrics", timeout=30) as reply:
            lines = reply.read().decode()
        assert 'hawkvision_engine_measured{quantity="latency_cycles",task="tiny"}' in lines


@needs_verilator
def test_logits_are_the_integer_networks_times_its_scale(kept: Path) -> None:
    path = kept / "edge.onnx"
    with pytest.raises(EngineError, match=r"edge\.fpga\.npz"):
        open_simulated(ModelSpec(path), threads=1)
    save_plan(PLAN, network_beside(path))
    engine = open_simulated(ModelSpec(path), threads=1)
    pictures = images(3, SIDE, np.random.default_rng(1))
    logits = engine.infer(pictures.transpose(0, 3, 1, 2))["logits"]
    assert np.allclose(logits, NETWORK(pictures) * NETWORK.head.scale)
    measured = engine.measured()
    assert 0 < measured["interval_cycles"] <= measured["latency_cycles"] < 200_000
    with pytest.raises(EngineError, match="uint8"):
        engine.infer(np.zeros((1, 3, 8, 8), np.uint8))


@needs_verilator
def test_the_command_says_what_it_found(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, report = kept / "n.npz", kept / "report.json"
    save_plan(PLAN, path)
    arguments = ["fpga", "simulate", str(path), "--images", "4", "--json", str(report)]
    assert not cli(arguments, standalone_mode=False)
    found = json.loads(report.read_text())
    assert found["bit_exact_images"] == found["bit_exact_images_stalled"] == 4
    assert f"{found['latency_cycles']:,}" in capsys.readouterr().out
