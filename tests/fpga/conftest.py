"""What the tests of the hardware share: builds, a small accelerator, generous limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fpga.board.simulated import SimulatedBoard
from tests.fpga.networks import SMALL_PLAN

_HANGS_S = 1800
"""Builds take as long as the machine lets them; the limit only catches what hangs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test of the hardware that limit."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_HANGS_S))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where designs are compiled, once for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    found = run / "cache" / "hawkvision" / "fpga"
    found.mkdir(parents=True, exist_ok=True)
    return found


@pytest.fixture
def cache_home(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands and services keep their builds there too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1]))


@pytest.fixture(scope="session")
def small_library(cache: Path) -> Path:
    """The accelerator of `SMALL_PLAN` in Verilator."""
    from fpga.tools.axi_simulation import board_library

    return board_library(SMALL_PLAN, cache)


@pytest.fixture
def board(small_library: Path) -> Iterator[SimulatedBoard]:
    """That accelerator, fresh."""
    found = SimulatedBoard(small_library, limit=300_000)
    yield found
    found.close()
