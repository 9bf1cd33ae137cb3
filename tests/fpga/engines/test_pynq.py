"""The unmodified pynq, in its own Python, drives a simulated board with caches and a DMA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.engines import pynq
from fpga.engines.pynq import PynqEngine, open_pynq
from fpga.network.files import network_beside, save_network
from hawkvision.engines import ModelSpec
from hawkvision.errors import EngineError
from tests.fpga.board.simulated import needs_pynq, put_board
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import SMALL, images, random_network


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker on a busy machine may take its time; only what hangs takes longer."""
    monkeypatch.setattr(pynq, "START_S", 600.0)
    monkeypatch.setattr(pynq, "ANSWER_S", 600.0)


@pytest.fixture
def rung(tmp_path: Path, small_library: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A rung with a bitstream, and the simulated board under pynq."""
    path = tmp_path / "edge.onnx"
    save_network(SMALL, network_beside(path))
    put_board(path, small_library, monkeypatch)
    return ModelSpec(path)


def batch(count: int, seed: int = 1) -> np.ndarray:
    return images(count, 8, np.random.default_rng(seed)).transpose(0, 3, 1, 2)


def logits(pictures: np.ndarray) -> np.ndarray:
    return SMALL(pictures.transpose(0, 2, 3, 1)) * SMALL.head.scale


@needs_pynq
@needs_verilator
def test_batches_of_any_size_come_back_exact(rung: ModelSpec) -> None:
    engine = open_pynq(rung, threads=1)
    for count in (1, 5, 70, 2):
        pictures = batch(count, count)
        assert np.allclose(engine.infer(pictures)["logits"], logits(pictures), rtol=1e-6)
    measured = engine.measured()
    assert 640 <= measured["latency_cycles"] < 5000 and "watts" not in measured
    assert engine.metadata.device == "pynq"
    engine.close()


@needs_pynq
@needs_verilator
@pytest.mark.parametrize("fault", ["no flush", "no invalidate"])
def test_a_cache_that_is_not_written_back_gives_wrong_answers(
    rung: ModelSpec, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("HAWKVISION_TEST_FAULT", fault)
    engine = open_pynq(rung, threads=1)
    pictures = batch(4)
    assert not np.allclose(engine.infer(pictures)["logits"], logits(pictures))
    engine.close()


@needs_pynq
@needs_verilator
def test_a_transfer_that_never_ends_is_an_error_and_the_next_one_is_tried(
    rung: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAWKVISION_TEST_FAULT", "stuck")
    engine = open_pynq(rung, threads=1)
    for _ in range(2):
        with pytest.raises(EngineError, match="logits did not end in time"):
            engine.infer(batch(1))
    engine.close()


@needs_pynq
@needs_verilator
def test_a_worker_that_dies_is_started_again(rung: ModelSpec) -> None:
    engine = open_pynq(rung, threads=1)
    worker = engine._worker.process
    assert worker is not None
    worker.kill()
    worker.wait()
    pictures = batch(2)
    assert np.allclose(engine.infer(pictures)["logits"], logits(pictures), rtol=1e-6)
    engine.close()


@needs_pynq
@needs_verilator
def test_a_worker_that_does_not_answer_in_time_is_replaced(
    rung: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_pynq(rung, threads=1)
    with monkeypatch.context() as hurry:
        hurry.setattr(pynq, "ANSWER_S", 0.0)
        with pytest.raises(EngineError, match="does not answer"):
            engine.infer(batch(1))
    pictures = batch(2)
    assert np.allclose(engine.infer(pictures)["logits"], logits(pictures), rtol=1e-6)
    engine.close()


@needs_pynq
@needs_verilator
def test_a_bitstream_of_another_network_is_refused(rung: ModelSpec) -> None:
    save_network(random_network(8, (4, 8), 1, seed=4), network_beside(rung.path))
    with pytest.raises(EngineError, match="the bitstream holds network"):
        open_pynq(rung, threads=1)


@needs_pynq
@needs_verilator
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
        PynqEngine(SMALL, tmp_path / "edge.bit")
    monkeypatch.setenv("HAWKVISION_PYNQ_PYTHON", "/nowhere/python3")
    with pytest.raises(EngineError, match="no /nowhere/python3"):
        PynqEngine(SMALL, tmp_path / "edge.bit")
