"""The command: figures of every size, a plot, and a real fleet beside a simulated one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from loadtest.bench.fleet_sim.command import command

_QUICK = ["--agents", "5,20", "--rate", "5", "--before", "10", "--drifted", "20"]


def _run(*options: str) -> Result:
    return CliRunner().invoke(command, list(options))


def test_it_says_what_each_size_needs(tmp_path: Path) -> None:
    found, plot = tmp_path / "found.json", tmp_path / "fleet.svg"
    done = _run(*_QUICK, "--outage", "0.1", "--json", str(found), "--plot", str(plot))
    assert done.exit_code == 0, done.output
    assert max(len(line) for line in done.output.splitlines()) <= 80
    rows = json.loads(found.read_text())["sizes"]
    assert [row["agents"] for row in rows] == [5, 20]
    for row in rows:
        assert row["answered"] == row["counted"] == row["requests"]
        assert row["outage"]["answered"] == row["outage"]["counted"]
        assert row["outage"]["waiting"] > 0
        assert row["gateway"]["gateways"] == 1
        assert row["redis"]["calm"]["sent_per_s"] > 5 * row["agents"]
        assert {one["target"] for one in row["thresholds"]} == {0.8, 0.85, 0.9, 0.95}
    assert plot.read_text().startswith("<svg")


def test_a_seed_gives_the_same_figures_in_another_process(tmp_path: Path) -> None:
    """Across an outage, and whatever the order in which sets and dictionaries are hashed."""
    found = []
    for hashes in ("1", "2"):
        path = tmp_path / f"{hashes}.json"
        words = [*_QUICK, "--outage", "0.1", "--seed", "5", "--json", str(path)]
        line = [sys.executable, "-m", "hawkvision.cli", "bench", "fleet-sim", *words]
        environment = os.environ | {"PYTHONHASHSEED": hashes}
        subprocess.run(line, env=environment, check=True, capture_output=True)
        body = json.loads(path.read_text())
        for row in body["sizes"]:
            assert row.pop("wall_s") > 0
        found.append(body)
    assert found[0] == found[1]


def _real(**changes: Any) -> dict[str, Any]:
    redis = {
        "seconds": 20.0,
        "commands_per_s": {"evalsha": 40.0, "hgetall": 80.0, "sadd": 5.7},
        "bytes_in_per_s": 6e4,
        "bytes_out_per_s": 4e4,
        "cpu": 0.01,
    }
    row = {"target": 0.9, "n": 800, "achieved": 0.91, "escalation_rate": 0.16, "degraded_rate": 0.0}
    return {
        "agents": 10,
        "gateways": 2,
        "rate": 4.0,
        "seconds": 20.0,
        "task": "roadsigns",
        "targets": [0.9],
        "seed": 11,
        "images": None,
        "answered": 800,
        "counted": 800,
        "results": [row],
        "redis": redis,
    } | changes


def test_a_real_fleet_is_shown_beside_a_simulated_one(tmp_path: Path) -> None:
    real, found = tmp_path / "real.json", tmp_path / "found.json"
    real.write_text(json.dumps(_real()))
    done = _run("--against", str(real), "--seeds", "2", "--json", str(found))
    assert done.exit_code == 0, done.output
    body = json.loads(found.read_text())
    rows = {row["figure"]: row for row in body["rows"]}
    assert rows["answers/s"]["measured"] == 40.0
    assert rows["answers/s"]["predicted"] == pytest.approx(40.0, rel=0.1)
    assert rows["delivered at 0.9"]["low"] <= rows["delivered at 0.9"]["high"]
    assert rows["counted of answered"]["predicted"] == 1.0
    assert rows["sadd/s"]["predicted"] == pytest.approx(5.7, rel=0.05)
    assert body["conserved"] == [0.0, 0.0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"agents": 3}'])
def test_what_is_no_real_fleet_is_refused(tmp_path: Path, text: str) -> None:
    real = tmp_path / "real.json"
    real.write_text(text)
    done = _run("--against", str(real))
    assert done.exit_code != 0
    assert "bench fleet" in str(done.exception)


def test_a_real_fleet_without_a_redis_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text(json.dumps(_real(redis=None)))
    assert "Redis" in str(_run("--against", str(real)).exception)


@pytest.mark.parametrize(
    "options", [["--agents", "0"], ["--agents", "x"], ["--redis-us", "1,2"], ["--targets", ","]]
)
def test_options_that_cannot_be_are_refused(options: list[str]) -> None:
    done = _run(*options)
    assert done.exit_code == 2
    assert options[0] in done.output
