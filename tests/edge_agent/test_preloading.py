"""What the parent of several workers loads for them."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from pathlib import Path

import onnxruntime
import pytest

from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from edge_agent.workers import preloading
from edge_agent.workers.parent import EdgeCrew
from hawkvision.errors import HawkVisionError


def test_networks_on_the_cpu_are_loaded_once(tiny_repository: Path) -> None:
    found = preloading.preload(EdgeConfig(model_repository=tiny_repository, workers=2))
    assert found is not None
    assert list(found) == ["tiny"]


def test_an_engine_with_devices_or_processes_of_its_own_is_left_to_the_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert preloading.forks_well("onnx")
    assert not preloading.forks_well("fpga-sim")
    present = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: present)
    assert not preloading.forks_well("onnx")


@pytest.mark.skipif(not preloading._TASKS.is_dir(), reason="threads are counted on Linux")
def test_an_engine_that_starts_threads_is_left_to_the_workers(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, load = threading.Event(), load_tasks
    thread = threading.Thread(target=end.wait)

    def with_a_thread(config: EdgeConfig) -> object:
        thread.start()
        return load(config)

    monkeypatch.setattr(preloading, "load_tasks", with_a_thread)
    config = EdgeConfig(model_repository=tiny_repository, workers=2)
    try:
        assert preloading.preload(config) is None
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_bounds_on_memory_are_for_all_workers_together(workers: int) -> None:
    config = EdgeConfig(workers=workers)
    one = config.of_worker()
    assert one.max_buffered_bytes * workers <= max(
        config.max_buffered_bytes, config.max_body_bytes * workers
    )
    assert one.max_buffered_bytes >= config.max_body_bytes
    assert one.limits.max_decode_bytes >= min(
        16 * config.limits.max_pixels, config.limits.max_decode_bytes
    )
    assert one.max_escalations == 128 // workers
    assert config.pool_threads == (1 if workers > 1 else EdgeConfig().pool_threads)


def test_workers_that_get_no_folder_say_so_in_one_line(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(prefix: str) -> str:
        raise FileNotFoundError(2, f"No usable temporary directory for {prefix}")

    monkeypatch.setattr(tempfile, "mkdtemp", nowhere)
    crew = EdgeCrew(EdgeConfig(model_repository=tiny_repository, workers=2, port=0))
    with pytest.raises(HawkVisionError, match=r"temporary folder.*No usable"):
        asyncio.run(crew.start())
    asyncio.run(crew.close())
