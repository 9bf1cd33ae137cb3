"""Ten seconds of real Locust users against a real agent and gateway; the bench command once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from hawkvision.repository import shipped_repository
from tests.processes import edge, gateway

ROOT = Path(__file__).resolve().parents[2]


def test_users_with_mixed_targets_are_all_answered(tmp_path: Path) -> None:
    result = tmp_path / "load.json"
    environment = {**os.environ, "HAWKVISION_LOADTEST_JSON": str(result)}
    with (
        gateway(shipped_repository(), "--task", "roadsigns") as dc,
        edge(shipped_repository(), dc.address, "--task", "roadsigns") as agent,
    ):
        command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless"]
        options = ["-u", "4", "-r", "4", "-t", "10s", "--host", f"http://{agent.address}"]
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Delivered accuracy" in done.stdout
    body = json.loads(result.read_text())
    assert body["failures"] == 0
    assert len(body["results"]) >= 3
    assert sum(row["n"] for row in body["results"]) == body["requests"] > 50
    assert all(row["degraded_rate"] < 1 for row in body["results"])


def test_bench_server_reports_the_contract_s_keys(tmp_path: Path) -> None:
    result = tmp_path / "server.json"
    command = [sys.executable, "-m", "hawkvision.cli", "bench", "server"]
    options = ["--task", "roadsigns", "--rounds", "1", "--seconds", "0.5", "--connections", "2"]
    subprocess.run([*command, *options, "--json", str(result)], check=True, timeout=90, cwd=ROOT)
    body = json.loads(result.read_text())
    assert {"cpu_ms_bare", "cpu_ms_agent", "cpu_ratio", "rss_mb"} <= set(body)
    assert body["cpu_ms_agent"] > body["cpu_ms_bare"] > 0
