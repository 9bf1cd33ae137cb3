"""The simulated hardware as an engine: the agent's answers are the integer network's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.engines.simulated import open_simulated
from fpga.network.files import network_beside
from fpga.network.plan import save_plan
from fpga.tools.axi_simulation import board_library
from hawkvision.engines import ModelSpec
from hawkvision.errors import EngineError
from hawkvision.images import decode, fit
from hawkvision.repository import Repository
from tests import processes
from tests.fpga.board.simulated import needs_pynq, put_board
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import images, plan_for, random_network
from tests.models import LABELS, SIDE, build_tiny_repository, coloured_jpeg

NETWORK = random_network(SIDE, (2, 4), 1, seed=9, classes=len(LABELS))
PLAN = plan_for(NETWORK, 20_000)


HANGS_S = 600.0
"""Only what hangs takes longer."""


def fetched(request: str | urllib.request.Request) -> bytes:
    """The body of an answer."""
    with urllib.request.urlopen(request, timeout=HANGS_S) as reply:
        return bytes(reply.read())


def take_runtime_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In what is started from here on, `import onnxruntime` fails, as on a board without it."""
    folder.mkdir()
    (folder / "onnxruntime.py").write_text("raise ModuleNotFoundError(name=__name__)\n")
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), known))))
    tried = [sys.executable, "-c", "import onnxruntime"]
    assert subprocess.run(tried, capture_output=True, check=False).returncode == 1


@needs_verilator
@pytest.mark.usefixtures("cache_home")
@pytest.mark.parametrize("engine", ["fpga-sim", pytest.param("pynq", marks=needs_pynq)])
def test_an_agent_answers_with_the_hardware_and_no_onnx_runtime(
    tmp_path: Path, cache: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = build_tiny_repository(tmp_path / "repository")
    rung = Repository(repository).open("tiny").rungs[0]
    save_plan(PLAN, network_beside(rung.model.path))
    library = board_library(PLAN, cache)
    if engine == "pynq":
        put_board(rung.model.path, library, monkeypatch)
    take_runtime_away(tmp_path / "none", monkeypatch)
    photos = [coloured_jpeg(label, seed=seed) for seed, label in enumerate(LABELS)]
    options = ("--engine", engine, "--audit-share", "0", "--deadline-ms", str(1e3 * HANGS_S))
    with processes.edge(repository, "127.0.0.1:1", *options) as agent:
        for photo in photos:
            pixels = fit(decode(photo, min_side=SIDE), rung.geometry)
            expected = int(NETWORK(pixels[None])[0].argmax())
            url = f"http://{agent.address}/v1/classify?accuracy=0.3"
            answer = json.loads(fetched(urllib.request.Request(url, data=photo)))
            assert answer["class_id"] == expected
        tasks = json.loads(fetched(f"http://{agent.address}/v1/tasks"))["tasks"]
        running = tasks[0]["engine"]
        assert running["device"] == engine
        cycles = running["measured"]["latency_cycles"]
        assert 20_000 < cycles < 200_000
        if engine == "fpga-sim":
            assert running["measured"]["latency_ms"] == cycles / 1e5
        lines = fetched(f"http://{agent.address}/metrics").decode()
        assert 'hawkvision_engine_measured{quantity="latency_cycles",task="tiny"}' in lines


@needs_verilator
@pytest.mark.usefixtures("cache_home")
def test_logits_are_the_integer_networks_times_its_scale(tmp_path: Path) -> None:
    path = tmp_path / "edge.onnx"
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
