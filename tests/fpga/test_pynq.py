"""The unmodified pynq, in its own Python, drives a simulated board with caches and a DMA."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.board.frames import LIMIT, read_frame, write_frame
from fpga.board.pynq_board import clocks_with_frequencies
from fpga.engines.pynq import PynqEngine, open_pynq
from fpga.network.folding import fold
from fpga.network.network import network_beside, save_network
from fpga.network.plan import Plan, generous_skip_depths
from fpga.tools.axi_simulation import board_library
from fpga.tools.simulate import why_not
from hawkvision.engines import ModelSpec
from hawkvision.errors import EngineError
from tests.fpga.handoff import handoff
from tests.fpga.networks import images, random_network

NETWORK = random_network(8, (4, 8), 1, seed=3)
PLAN = Plan(NETWORK, fold(NETWORK, 640), generous_skip_depths(NETWORK), profile="small")
SITE = Path(__file__).parent / "board_site"
ROOT = Path(__file__).resolve().parents[2]


def pynq_python() -> Path | None:
    """A Python that has pynq: `.venv-pynq`, which `scripts/setup pynq` makes."""
    python = Path(os.environ.get("HAWKVISION_PYNQ_PYTHON", ROOT / ".venv-pynq/bin/python"))
    if not python.exists():
        return None
    probe = [str(python), "-c", "import pynq"]
    return (
        python if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else None
    )


PYTHON = pynq_python()
needs_board = pytest.mark.skipif(
    PYTHON is None or why_not() is not None,
    reason="no .venv-pynq (scripts/setup pynq)" if PYTHON is None else f"no Verilator: {why_not()}",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return board_library(PLAN, tmp_path_factory.mktemp("verilator"))


@pytest.fixture
def rung(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A rung with a bitstream, and the simulated board under pynq."""
    path = tmp_path / "edge.onnx"
    save_network(NETWORK, network_beside(path))
    put_board(path, library, monkeypatch)
    return ModelSpec(path)


def put_board(path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bitstream and handoff beside a rung's file; the simulated board under pynq."""
    path.with_suffix(".bit").write_bytes(b"BIT of a test")
    path.with_suffix(".hwh").write_text(handoff())
    monkeypatch.setenv("HAWKVISION_PYNQ_PYTHON", str(PYTHON))
    monkeypatch.setenv("PYTHONPATH", str(SITE))
    monkeypatch.setenv("HAWKVISION_TEST_BOARD", str(library))


def batch(count: int, seed: int = 1) -> np.ndarray:
    return images(count, 8, np.random.default_rng(seed)).transpose(0, 3, 1, 2)


def logits(pictures: np.ndarray) -> np.ndarray:
    return NETWORK(pictures.transpose(0, 2, 3, 1)) * NETWORK.head.scale


@needs_board
def test_batches_of_any_size_come_back_exact(rung: ModelSpec) -> None:
    engine = open_pynq(rung, threads=1)
    for count in (1, 5, 70, 2):
        pictures = batch(count, count)
        assert np.allclose(engine.infer(pictures)["logits"], logits(pictures), rtol=1e-6)
    measured = engine.measured()
    assert 640 <= measured["latency_cycles"] < 5000 and "watts" not in measured
    assert engine.metadata.device == "pynq"
    engine.close()


@needs_board
@pytest.mark.parametrize("fault", ["no flush", "no invalidate"])
def test_a_cache_that_is_not_written_back_gives_wrong_answers(
    rung: ModelSpec, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("HAWKVISION_TEST_FAULT", fault)
    engine = open_pynq(rung, threads=1)
    pictures = batch(4)
    assert not np.allclose(engine.infer(pictures)["logits"], logits(pictures))
    engine.close()


@needs_board
def test_a_transfer_that_never_ends_is_an_error_and_the_next_one_is_tried(
    rung: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAWKVISION_TEST_FAULT", "stuck")
    engine = open_pynq(rung, threads=1)
    for _ in range(2):
        with pytest.raises(EngineError, match="logits did not end in time"):
            engine.infer(batch(1))
    engine.close()


@needs_board
def test_a_worker_that_dies_is_started_again(rung: ModelSpec) -> None:
    engine = open_pynq(rung, threads=1)
    worker = engine._worker
    assert worker is not None
    worker.kill()
    worker.wait()
    pictures = batch(2)
    assert np.allclose(engine.infer(pictures)["logits"], logits(pictures), rtol=1e-6)
    engine.close()


@needs_board
def test_a_bitstream_of_another_network_is_refused(rung: ModelSpec) -> None:
    save_network(random_network(8, (4, 8), 1, seed=4), network_beside(rung.path))
    with pytest.raises(EngineError, match="the bitstream holds network"):
        open_pynq(rung, threads=1)


@needs_board
def test_without_a_board_the_reason_is_said(
    rung: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWKVISION_TEST_BOARD")
    with pytest.raises(EngineError, match="No Devices Found"):
        open_pynq(rung, threads=1)
    (rung.path.with_suffix(".hwh")).unlink()
    with pytest.raises(EngineError, match=r"there is no .*edge\.hwh"):
        open_pynq(rung, threads=1)
    rung.path.with_suffix(".bit").unlink()
    with pytest.raises(EngineError, match=r"holds no edge\.bit"):
        open_pynq(rung, threads=1)


def test_a_python_without_pynq_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAWKVISION_PYNQ_PYTHON", "/usr/bin/python3")
    (tmp_path / "edge.bit").write_bytes(b"BIT")
    with pytest.raises(EngineError, match="pynq"):
        PynqEngine(NETWORK, tmp_path / "edge.bit")
    monkeypatch.setenv("HAWKVISION_PYNQ_PYTHON", "/nowhere/python3")
    with pytest.raises(EngineError, match="no /nowhere/python3"):
        PynqEngine(NETWORK, tmp_path / "edge.bit")


class _Overlay:
    def __init__(self, parameters: dict[str, str], clock: dict[str, object]) -> None:
        kind = "xilinx.com:ip:processing_system7:5.5"
        self.ip_dict = {"ps": {"type": kind, "parameters": parameters}}
        self.clock_dict = {0: clock}


@pytest.mark.parametrize(
    ("parameters", "given", "wanted"),
    [
        ({}, None, 100.0),
        ({"PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": "99.99"}, None, 99.99),
        ({"PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": "99.99"}, 125.0, 125.0),
    ],
)
def test_a_clock_without_a_frequency_gets_one(
    parameters: dict[str, str], given: float | None, wanted: float
) -> None:
    clock: dict[str, object] = {"enable": 1, "divisor0": 5, "divisor1": 2, "frequency": given}
    assert clocks_with_frequencies(_Overlay(parameters, clock))[0]["frequency"] == wanted


class _Slow(io.BytesIO):
    def write(self, data: Any, /) -> int:
        return super().write(bytes(data)[:3])


def test_a_pipe_that_takes_parts_gets_all() -> None:
    stream = _Slow()
    write_frame(stream, {"pictures": 1}, b"0123456789")
    stream.seek(0)
    assert read_frame(stream) == ({"pictures": 1}, b"0123456789")


def test_frames_survive_and_damage_is_found() -> None:
    stream = io.BytesIO()
    write_frame(stream, {"pictures": 2}, b"abc")
    write_frame(stream, {})
    whole = stream.getvalue()
    stream.seek(0)
    assert read_frame(stream) == ({"pictures": 2}, b"abc")
    assert read_frame(stream) == ({}, b"")
    assert read_frame(stream) is None
    assert read_frame(io.BytesIO(whole[:9])) is None
    with pytest.raises(ValueError, match="bytes"):
        read_frame(io.BytesIO((LIMIT + 1).to_bytes(4, "little") + bytes(4)))
    with pytest.raises(ValueError, match="head"):
        read_frame(io.BytesIO(b"\x02\0\0\0\0\0\0\0[]"))
