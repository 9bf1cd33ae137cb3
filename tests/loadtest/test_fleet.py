"""A small fleet on this machine: every target is answered, and the store counts every answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.bench.fleet.soak import soaked


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
@pytest.mark.timeout(600)
def test_a_fleet_s_answers_are_all_counted(tmp_path: Path) -> None:
    result = tmp_path / "fleet.json"
    command = [sys.executable, "-m", "hawkvision.cli", "bench", "fleet", "--json", str(result)]
    size = ["--agents", "4", "--processes", "2", "--rate", "8", "--seconds", "2", "--images", "30"]
    done = subprocess.run([*command, *size], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    body = json.loads(result.read_text())
    assert body["counted"] == body["answered"] > 20 and body["failed"] == 0
    assert sum(row["n"] for row in body["results"]) == body["answered"]
    assert {row["target"] for row in body["results"]} == {0.8, 0.85, 0.9, 0.95}


def test_a_process_that_grows_shows() -> None:
    samples = [(100.0 + max(0, n - 20), 10 + n // 50, 5) for n in range(100)]
    row = soaked("agent", samples)
    assert row["rss_mb"] == [pytest.approx(109.5), pytest.approx(169.5)]
    assert (row["descriptors"], row["threads"]) == ([10, 11], [5, 5])
