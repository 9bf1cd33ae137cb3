"""What is measured in which order, and what is made of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.analysis import measured, rows, verdicts
from loadtest.bench.modeless.experiment import (
    HAWKVISION,
    RESIDENT,
    SWITCHING,
    SYSTEMS,
    TRITON,
    Scenario,
    blocks,
    budget_mb,
    profile,
    weights,
)
from loadtest.bench.modeless.report import tables, write_report
from loadtest.bench.modeless.run import ModelessBench, _absent, _Kept


def test_the_full_profile_measures_every_system_in_every_repetition() -> None:
    made = blocks(profile(False, True), {"int8": 1000.0, "fp32": 200.0}, 1)
    for repetition in range(3):
        turn = [one for one in made if one.repetition == repetition]
        assert {one.system for one in turn} == set(SYSTEMS)
        assert len({one.key for one in turn}) == len(turn)
        assert {one.rates[-1] for one in turn} == {600.0, 400.0, 100.0, 80.0}
    assert experiment.planned_seconds(made, 3.5) < 30 * 60
    quick = blocks(profile(True, True), {"int8": 1000.0, "fp32": 200.0}, 1)
    assert experiment.planned_seconds(quick, 3.5) < 6 * 60


def test_what_is_not_installed_is_left_out_and_told(tmp_path: Path) -> None:
    made = blocks(profile(True, True), {"int8": 1000.0, "fp32": 200.0}, 1, {TRITON})
    assert {one.system for one in made} == {*SYSTEMS} - {TRITON}
    bench = ModelessBench(True, True, tmp_path, tmp_path, 1, tmp_path / "nothing")
    [(name, why)] = _absent(bench).items()
    assert name == TRITON and "no Python at" in why and "scripts/setup peers" in why
    assert _absent(replace(bench, systems=(HAWKVISION,))) == {}


def test_budgets_and_mixes() -> None:
    assert [budget_mb([10, 40, 30], held) for held in (1, 2, 0)] == [41, 71, 81]
    assert weights("uniform", (0.9, 0.8)) == [(0.9, 1), (0.8, 1)]
    assert weights("skewed", (0.9, 0.8)) == [(0.8, 1), (0.9, 2)]


def columns(count: int, ms: float, right: float, answered: float = 1.0) -> dict[str, list[Any]]:
    there = round(count * answered)
    return {
        "target": [0.9] * count,
        "due_s": [0.0] * count,
        "ms": [ms] * there + [-1.0] * (count - there),
        "status": [200] * there + [503] * (count - there),
        "right": [int(one < right * there) for one in range(there)] + [0] * (count - there),
        "by": ["edge"] * count,
        "degraded": [0] * count,
    }


def test_a_request_without_an_answer_counts_as_if_it_never_came() -> None:
    found = measured(columns(200, 10.0, 0.9, answered=0.95), 50.0, 2.0)
    assert (found["answered"], found["refused"], found["in_time"]) == (190, 10, 190)
    assert found["p50_ms"] == 10 and found["p95_ms"] is None and found["p99_ms"] is None
    assert found["goodput"] == pytest.approx(171 / 2)
    assert found["by_target"] == {"0.90": [171, 190]}
    assert measured(columns(10, 60.0, 1), 50.0, 1.0)["goodput"] == 0


def record(system: str, rate: float, p99_ms: float, repetition: int, **more: Any) -> dict[str, Any]:
    answered, right = more.pop("answered", 1.0), more.pop("right", 0.92)
    return {
        "system": system,
        "scenario": asdict(Scenario()),
        "repetition": repetition,
        "rate": rate,
        **measured(columns(1000, p99_ms, right, answered), 250.0, 10.0),
        "rss_mb": 100.0,
        "cpu_s": 1.0,
        "link_bytes": 1000,
        "loads": 2,
        "evictions": 1,
        "load_s": 0.1,
    }


def results() -> list[dict[str, Any]]:
    found = []
    for repetition in range(2):
        found += [
            record(HAWKVISION, 100, 10.0, repetition),
            record(SWITCHING, 100, 30.0 + 30 * repetition, repetition),
            record(RESIDENT, 100, 20.0, repetition, right=0.85),
            record(HAWKVISION, 400, 20.0, repetition),
            record(SWITCHING, 400, 200.0, repetition, answered=0.5),
        ]
    return found


def test_what_misses_a_target_is_marked_and_what_varies_unstable() -> None:
    made = {(row["name"], row["rate"]): row for row in rows(results())}
    assert made[RESIDENT, 100]["missed"] == ["0.90"] and made[HAWKVISION, 100]["missed"] == []
    assert made[HAWKVISION, 100]["stable"] and not made[SWITCHING, 100]["stable"]
    assert made[SWITCHING, 400]["p99_ms"] is None and not made[SWITCHING, 400]["stable"]
    assert made[SWITCHING, 100]["loads"] == 4 and made[HAWKVISION, 100]["accuracy"] == {
        "0.90": 0.92
    }


def test_tails_are_compared_where_switching_keeps_up_and_goodput_where_nobody_does() -> None:
    (found,) = verdicts(rows(results()))
    assert [one["rate"] for one in found["p99"]] == [100]
    assert found["p99"][0]["ratio"] == pytest.approx(4.5) and not found["p99"][0]["stable"]
    assert found["goodput"]["rate"] == 400 and found["goodput"]["best"] == SWITCHING
    assert found["goodput"]["ratio"] == pytest.approx(2.0)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    made = blocks(profile(True, False), {"int8": 1000.0}, 1)
    kept = _Kept(tmp_path / "kept", "networks 1")
    kept.add(made[0], [{"rate": 1.0}])
    with (tmp_path / "kept").open("a") as file:
        file.write('{"block": "half')
    again = _Kept(tmp_path / "kept", "networks 1")
    assert again.done == {made[0].key: [{"rate": 1.0}]}
    assert _Kept(tmp_path / "kept", "networks 2").done == {}


def test_the_report_holds_everything(tmp_path: Path) -> None:
    ladder = {
        "name": "edge", "precision": "int8", "accuracy_calibrating": 0.88, "milliseconds": 0.3,
        "load_milliseconds": 9.0, "memory_mb": 16.0, "kilobytes": 412.7,
    }  # fmt: skip
    made = rows(results())
    result = {
        "systems": made,
        "verdicts": verdicts(made),
        "targets": [0.9],
        "deadline_ms": 250.0,
        "ladders": {"int8": [ladder]},
        "machine": {"processor": "<one>", "system": "Linux", "python": "3.11", "cores": 2},
        "command": "hawkvision bench modeless",
        "seed": 1,
        "date": "2026-11-26",
    }
    json.dumps(result)
    write_report(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page and "&lt;one&gt;" in page and "http" not in page.replace("http-equiv", "")
    assert f"{RESIDENT} ×" in page and "4.5x" in page
    table = tables(result)
    assert f"| {SWITCHING} | 400 | none | none ±" in table
