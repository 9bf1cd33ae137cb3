"""The unmodified pynq, in a Python of its own, over a board that Verilator simulates."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fpga.board.handoff import handoff

_SITE = Path(__file__).parent / "site"
_ROOT = Path(__file__).resolve().parents[3]


def pynq_python() -> Path | None:
    """A Python that has pynq: `.venv-pynq`, which `scripts/setup pynq` makes."""
    python = Path(os.environ.get("HAWKVISION_PYNQ_PYTHON", _ROOT / ".venv-pynq/bin/python"))
    if not python.exists():
        return None
    probe = subprocess.run([python, "-c", "import pynq"], capture_output=True, check=False)
    return python if probe.returncode == 0 else None


_PYTHON = pynq_python()
needs_pynq = pytest.mark.skipif(_PYTHON is None, reason="no .venv-pynq (scripts/setup pynq)")


def put_board(path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bitstream and handoff beside a rung's file; the simulated board under pynq."""
    path.with_suffix(".bit").write_bytes(b"BIT of a test")
    path.with_suffix(".hwh").write_text(handoff())
    monkeypatch.setenv("HAWKVISION_PYNQ_PYTHON", str(_PYTHON))
    monkeypatch.setenv("PYTHONPATH", str(_SITE))
    monkeypatch.setenv("HAWKVISION_TEST_BOARD", str(library))
