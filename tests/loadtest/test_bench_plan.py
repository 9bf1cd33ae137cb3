"""`hawkvision bench plan`: what is compared, and a short real run."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hawkvision.repository import shipped_repository
from loadtest.bench.plan.command import command
from loadtest.bench.plan.run import PlanBench, run_plan_bench
from loadtest.bench.plan.settings import SETTINGS, Line, Measured, Setting, compare

_PLAN = {
    "asked": {"rate": 10.0},
    "overall": {"escalated": 0.2, "expected": 0.9, "p50_ms": 1.0, "p99_ms": 30.0},
    "edge": {"cpu_s_per_thousand": 1.5},
    "gateway": {"cpu_s_per_thousand": 1.0},
    "demand": {"up_bytes": 2_000.0},
}


def _measured(count: int = 1000, lost: int = 0) -> Measured:
    columns = {
        "status": [200] * (count - lost) + [0] * lost,
        "ms": list(np.linspace(1.0, 2.0, count)),
        "late_ms": list(np.linspace(0.0, 0.2, count)),
        "read_ms": [0.25] * (count - lost) + [-1.0] * lost,
        "by": ["dc" if index % 5 == 0 else "edge" for index in range(count)],
        "right": [int(index % 10 != 0) for index in range(count)],
    }
    return Measured(columns, 2.0, 1.0, 4e6, 100.0, 0.07)


def test_what_is_compared() -> None:
    lines = {line.name: line for line in compare(_PLAN, _measured())}
    assert lines["escalated"].measured == pytest.approx(20) and lines["escalated"].within
    assert lines["accuracy"].measured == pytest.approx(90)
    assert lines["edge CPU, 1,000"].error == pytest.approx(1.5 / 2 - 1)
    assert lines["gateway CPU, 1,000"].error == pytest.approx(0)
    assert lines["up"].predicted == pytest.approx(0.16)
    assert lines["up"].measured == pytest.approx(0.32)
    assert lines["P50"].measured == pytest.approx(1.5, abs=0.01)
    assert lines["P99"].low <= lines["P99"].measured <= lines["P99"].high  # type: ignore[operator]
    assert lines["P99"].within is False


def test_how_late_client_and_link_were_is_told_beside() -> None:
    found = _measured(lost=20).besides()
    assert found["sent_late_p50_ms"] == pytest.approx(0.1)
    assert found["sent_late_p99_ms"] == pytest.approx(0.198)
    assert found["read_late_p50_ms"] == 0.25 and found["relay_late_ms"] == 0.07
    assert _measured(lost=1000).besides()["read_late_p50_ms"] == 0.0


def test_what_was_not_answered_never_came() -> None:
    lines = {line.name: line for line in compare(_PLAN, _measured(lost=20))}
    assert lines["P99"].measured == math.inf and lines["P50"].measured < 2


def test_no_answers_are_no_comparison() -> None:
    with pytest.raises(ValueError, match="no answers"):
        compare(_PLAN, _measured(lost=1000))


def test_an_error_against_nothing() -> None:
    assert Line("up", "Mbit/s", 1.0, 0.0).error == math.inf
    assert Line("up", "Mbit/s", 1.0, 2.0).within is None


def test_settings_differ_in_rate_link_and_mix() -> None:
    assert len({one.name for one in SETTINGS}) == len(SETTINGS) == 3
    assert len({one.rate for one in SETTINGS}) > 1 and len({one.rtt_ms for one in SETTINGS}) > 1


def test_without_photos_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWKVISION_DATA", raising=False)
    out = tmp_path / "out.json"
    found = CliRunner().invoke(command, ["--json", str(out)])
    assert found.exit_code == 0 and "NOT MEASURED" in found.output
    assert "no photos" in json.loads(out.read_text())["skipped"]


@pytest.mark.data
@pytest.mark.skipif(
    "HAWKVISION_DATA" not in os.environ,
    reason="set HAWKVISION_DATA to a folder with imagenette.tar.gz to test on real photos",
)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_short_run() -> None:
    data = Path(os.environ["HAWKVISION_DATA"])
    setting = Setting("short", 20.0, 10.0, 20.0, "0.85:1,0.91:1")
    bench = PlanBench("imagenette", shipped_repository(), data, [setting], 2.0, 1, 0.3)
    before = os.sched_getaffinity(0), os.sched_getscheduler(0)
    result = run_plan_bench(bench, lambda _text: None)
    assert (os.sched_getaffinity(0), os.sched_getscheduler(0)) == before
    (row,) = result["settings"]
    lines = {line["name"]: line for line in row["lines"]}
    assert lines["edge CPU, 1,000"]["measured"] > 0 and lines["up"]["measured"] > 0
    assert lines["P99"]["measured"] > 0
    assert row["besides"]["relay_late_ms"] > 0
    json.dumps(row)
