"""The oldest dependencies that pyproject.toml allows really are enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.timeout(900)
def test_agent_and_gateway_answer_with_the_oldest_dependencies() -> None:
    script = str(ROOT / "scripts" / "floors.py")
    done = subprocess.run(
        [sys.executable, script, "cpu", "redis", "update"],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    if done.returncode == 75:
        pytest.skip("NOT CHECKED: no package index is reachable, so no lower bound was tried")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "delivered" in done.stdout
