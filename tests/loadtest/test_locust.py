"""Real Locust users against a real agent and gateway; the bench command once.

The users end after a number of requests: how long that takes is the machine's business.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hawkvision.repository import shipped_repository
from tests.processes import edge, gateway

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(900)
def test_users_with_mixed_targets_are_all_answered(tmp_path: Path) -> None:
    result = tmp_path / "load.json"
    environment = {
        **os.environ,
        "HAWKVISION_LOADTEST_JSON": str(result),
        "HAWKVISION_LOADTEST_IMAGES": "40",
        "HAWKVISION_LOADTEST_REQUESTS": "120",
    }
    with (
        gateway(shipped_repository(), "--task", "roadsigns") as dc,
        edge(shipped_repository(), dc.address, "--task", "roadsigns") as agent,
    ):
        command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless"]
        options = ["-u", "4", "-r", "4", "--host", f"http://{agent.address}"]
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Delivered accuracy" in done.stdout
    body = json.loads(result.read_text())
    assert body["failures"] == 0
    assert len(body["results"]) >= 3
    # Of the four users, each may have been stopped between an answer and its count.
    assert 0 <= sum(row["n"] for row in body["results"]) - body["requests"] <= 4
    assert body["requests"] >= 120
    assert all(row["degraded_rate"] < 1 for row in body["results"])


@pytest.mark.timeout(900)
def test_bench_server_reports_the_contract_s_keys(tmp_path: Path) -> None:
    result = tmp_path / "server.json"
    command = [sys.executable, "-m", "hawkvision.cli", "bench", "server"]
    options = ["--task", "roadsigns", "--rounds", "1", "--seconds", "0.5", "--connections", "2"]
    subprocess.run([*command, *options, "--json", str(result)], check=True, timeout=600, cwd=ROOT)
    body = json.loads(result.read_text())
    assert {"cpu_ms_bare", "cpu_ms_agent", "cpu_ratio", "rss_mb"} <= set(body)
    assert body["cpu_ms_agent"] > body["cpu_ms_bare"] > 0
