"""What is measured in which order, and what is made of it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.agreement import compare
from loadtest.bench.modeless.analysis import agree, gave_up, measured, rows
from loadtest.bench.modeless.cells import cells, verdicts
from loadtest.bench.modeless.experiment import (
    HAWKVISION,
    ONE_RUNG,
    RESIDENT,
    SWITCHING,
    SYSTEMS,
    TRITON,
    Scenario,
    blocks,
    budget_mb,
    condition,
    profile,
    weights,
)
from loadtest.bench.modeless.maps import markdown_maps
from loadtest.bench.modeless.report import tables, write_report
from loadtest.bench.modeless.run import ModelessBench, _absent, _Kept, _kept_at, forget

PLACE = ("20 ms", 2)
CAPACITY = {"int8": 1000.0, "fp32": 1000.0}


def test_the_full_profile_measures_every_system_in_every_repetition() -> None:
    full = profile(False, True)
    made = blocks(full, CAPACITY, 1)
    for repetition in range(full.repetitions):
        turn = [one for one in made if one.repetition == repetition]
        assert {one.system for one in turn} == set(SYSTEMS)
        assert len({one.key for one in turn}) == len(turn)
        assert {one.rates[-1] for one in turn if len(one.rates) == 4} == {480.0, 280.0}
    assert len({one.seed for one in made}) == 1, "repetitions differ by the machine alone"
    assert experiment.planned_seconds(made, 3.5) < 27 * 60
    quick = blocks(profile(True, True), CAPACITY, 1)
    assert experiment.planned_seconds(quick, 3.5) < 5 * 60


def test_a_low_rate_is_asked_for_longer_and_a_dark_link_has_time_around_it() -> None:
    full = profile(False, True)
    for system, asked in ((SWITCHING, full.compared), (RESIDENT, full.others)):
        between = asked.requests / (asked.least_s + 0.5)
        rates = (1.0, between, 1000.0)
        seconds = [full.seconds(rate, Scenario(), system) for rate in rates]
        assert seconds == [asked.most_s, pytest.approx(asked.least_s + 0.5), asked.least_s]
    assert full.seconds(50.0, Scenario(dark_s=10.0), RESIDENT) == 15.0


def test_a_system_is_measured_once_where_the_rest_is_all_the_same_to_it() -> None:
    far = Scenario("fp32", link_ms=100.0, budget=3)
    assert condition(HAWKVISION, far) == far
    assert condition(ONE_RUNG, far) == Scenario("fp32", link_ms=100.0)
    assert condition(SWITCHING, far) == Scenario("fp32", budget=3)
    assert condition(RESIDENT, replace(far, dark_s=10.0)) == Scenario("fp32")


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
    assert found["p99_ms"] is None
    assert found["waited_ms"] == [10.0] * 190 + [-1.0] * 10
    assert found["goodput"] == pytest.approx(171 / 2)
    assert found["by_target"] == {"0.90": [171, 190]}
    assert measured(columns(10, 60.0, 1), 50.0, 1.0)["goodput"] == 0


def record(system: str, rate: float, p99_ms: float, repetition: int, **more: Any) -> dict[str, Any]:
    answered, right = more.pop("answered", 1.0), more.pop("right", 0.92)
    count, scenario = more.pop("count", 1000), more.pop("scenario", Scenario())
    return {
        "system": system,
        "scenario": asdict(scenario),
        "repetition": repetition,
        "rate": rate,
        **measured(columns(count, p99_ms, right, answered), 250.0, 10.0),
        "rss_mb": 100.0,
        "cpu_s": 1.0,
        "link_bytes": 1000,
        "loads": 2,
        "evictions": 1,
        "load_s": 0.1,
        **more,
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


def test_percentiles_are_of_all_repetitions_together() -> None:
    made = {(row["name"], row["rate"]): row for row in rows(results())}
    switching = made[SWITCHING, 100]
    assert (switching["p50_ms"], switching["p99_ms"]) == (60, 60)
    assert switching["p99_ms_repetitions"] == [30, 60] and switching["requests"] == 2000
    few = rows([record(HAWKVISION, 1, 10.0, 0, count=100)])[0]
    assert few["p99_ms_interval"] == [10, None], "100 requests do not bound P99 from above"


def test_who_answers_fewer_than_half_in_time_has_given_up() -> None:
    assert gave_up(measured(columns(100, 10.0, 1, answered=0.49), 50.0, 1.0))
    assert gave_up(measured(columns(100, 60.0, 1), 50.0, 1.0))
    assert not gave_up(measured(columns(100, 10.0, 1, answered=0.5), 50.0, 1.0))


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=5), st.floats(0.1, 10))
def test_agreeing_knows_no_order_and_no_unit(values: list[float], unit: float) -> None:
    edge = max(values) / min(values) - 1.2 ** math.sqrt(len(values))
    other = [value * unit for value in reversed(values)]
    assert agree(values) == agree(other) or abs(edge) < 1e-9
    assert not agree([*values, None])


@pytest.mark.parametrize("spread", [0.05, 0.13, 0.3])
def test_as_many_are_marked_as_two_runs_disagree_on(spread: float) -> None:
    runs = np.exp(np.random.default_rng(1).normal(0.0, spread, (2, 4000, 2)))
    marked = np.mean([not agree(one) for one in runs[0].tolist()])
    pooled = np.exp(np.log(runs).mean(axis=2))
    apart = np.maximum(pooled[0], pooled[1]) / np.minimum(pooled[0], pooled[1])
    assert marked == pytest.approx(np.mean(apart > 1.2), abs=0.03)


def test_tails_are_compared_cell_by_cell() -> None:
    made = cells(rows(results()))
    at = {(cell["system"], cell["link"], cell["budget"], cell["rate"]): cell for cell in made}
    cell = at[HAWKVISION, "20 ms", 2, 100]
    assert cell["p99_ratio"] == pytest.approx(6.0) and not cell["stable"]
    assert (cell["ours"], cell["switching"]) == ("keeps up", "keeps up")
    assert cell["best"] == SWITCHING and cell["goodput_ratio"] == pytest.approx(1.0)
    assert at[HAWKVISION, "20 ms", 2, 400]["switching"] == "saturated"


def test_a_cell_is_as_stable_as_its_ratios_and_not_as_its_times() -> None:
    def stable(ours: tuple[float, float], theirs: tuple[float, float]) -> bool:
        found = [
            record(name, 100, ms[turn], turn)
            for name, ms in ((HAWKVISION, ours), (SWITCHING, theirs))
            for turn in range(2)
        ]
        (cell,) = (one for one in cells(rows(found)) if (one["link"], one["budget"]) == PLACE)
        return bool(cell["stable"])

    assert stable((10.0, 15.0), (30.0, 45.0)), "a slower machine is slower for both"
    assert stable((10.0, 12.0), (30.0, 30.0)) and not stable((10.0, 15.0), (30.0, 30.0))
    assert stable((10.0, 10.0), (300.0, 900.0)), "who never keeps up has no tail to compare"
    assert not stable((10.0, 10.0), (30.0, 300.0)), "who keeps up once only"


def test_a_ratio_has_the_interval_of_its_records() -> None:
    def interval(records: list[dict[str, Any]]) -> Any:
        made = cells(rows(results()), records)
        return next(
            cell["p99_ratio_interval"]
            for cell in made
            if (cell["link"], cell["budget"]) == PLACE and cell["rate"] == 100
        )

    assert interval(results()) == [6.0, 6.0] and interval([]) is None


def test_who_was_not_asked_any_more_has_ended() -> None:
    found = [
        record(HAWKVISION, 100, 10.0, 0),
        record(HAWKVISION, 400, 10.0, 0),
        record(SWITCHING, 100, 30.0, 0, answered=0.3),
    ]
    made = {cell["rate"]: cell for cell in cells(rows(found)) if cell["budget"] == 2}
    assert made[400]["switching"] == made[100]["switching"] == "saturated"
    assert made[400]["p99_ratio"] is None and made[400]["best"] is None
    assert {cell["rate"] for cell in cells(rows(found[:2]))} == set()


def test_who_needs_no_link_is_the_same_on_all_and_who_does_is_not() -> None:
    def links(link_bytes: int) -> set[str]:
        found = [
            record(HAWKVISION, 100, 10.0, 0, link_bytes=link_bytes),
            record(SWITCHING, 100, 30.0, 0),
        ]
        return {cell["link"] for cell in cells(rows(found))}

    assert links(0) == {"5 ms", "20 ms", "100 ms", "drops"}
    assert links(1000) == {"20 ms"}


def test_a_link_that_drops_is_a_condition_of_its_own() -> None:
    dark = Scenario(dark_s=10.0)
    found = [
        record(HAWKVISION, 100, 10.0, 0, link_bytes=1),
        record(HAWKVISION, 100, 60.0, 0, link_bytes=1, scenario=dark),
        record(SWITCHING, 100, 30.0, 0),
    ]
    ratios = {cell["link"]: cell["p99_ratio"] for cell in cells(rows(found))}
    assert ratios == {"20 ms": pytest.approx(3.0), "drops": pytest.approx(0.5)}


def test_goodput_is_compared_where_no_baseline_keeps_up() -> None:
    (found,) = verdicts(rows(results()))
    assert found["goodput"]["rate"] == 400 and found["goodput"]["best"] == SWITCHING
    assert found["goodput"]["ratio"] == pytest.approx(2.0)
    (found,) = verdicts(rows([one for one in results() if one["rate"] == 100]))
    assert found["goodput"] is None


def test_two_runs_agree_or_the_cell_is_marked() -> None:
    steady = [record(HAWKVISION, 100, 10.0, 0), record(SWITCHING, 100, 30.0, 0)]
    slower = [record(HAWKVISION, 100, 10.0, 0), record(SWITCHING, 100, 40.0, 0)]
    now = cells(rows(steady))
    same = compare(now, now)
    assert same["agree"] == same["ratios"] > 0 and same["furthest"] == 0
    assert all(cell["stable"] and cell["goodput_stable"] for cell in same["cells"])
    other = compare(now, cells(rows(slower)))
    assert other["furthest"] == pytest.approx(1 / 3) and other["agree"] < other["ratios"]
    assert not any(cell["stable"] for cell in other["cells"])
    assert all(cell["goodput_stable"] for cell in other["cells"]), "of that they say the same"
    assert compare(now, [])["ratios"] == 0


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    made = blocks(profile(True, False), {"int8": 1000.0}, 1)
    kept = _Kept(tmp_path / "kept", "networks 1")
    kept.add(made[0], [{"rate": 1.0}])
    with (tmp_path / "kept").open("a") as file:
        file.write('{"block": "half')
    again = _Kept(tmp_path / "kept", "networks 1")
    assert again.done == {made[0].key: [{"rate": 1.0}]}
    assert _Kept(tmp_path / "kept", "networks 2").done == {}


def test_a_run_that_ended_is_measured_anew(tmp_path: Path) -> None:
    bench = ModelessBench(True, False, tmp_path, tmp_path, 1, tmp_path / "nothing")
    made = blocks(profile(True, False), {"int8": 1000.0}, 1)
    _Kept(_kept_at(bench), "networks").add(made[0], [{"rate": 1.0}])
    assert _Kept(_kept_at(bench), "networks").done
    forget(bench)
    assert not _Kept(_kept_at(bench), "networks").done


def test_the_report_holds_everything(tmp_path: Path) -> None:
    ladder = {
        "name": "edge", "precision": "int8", "accuracy_calibrating": 0.88, "milliseconds": 0.3,
        "load_milliseconds": 9.0, "memory_mb": 16.0, "kilobytes": 412.7,
    }  # fmt: skip
    made = rows(results())
    result = {
        "systems": made,
        "map": cells(made),
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
    assert f"{RESIDENT} ×" in page and "<td>6.0 ±" not in page and "6.0 ±" in page
    table = tables(result)
    assert f"| {SWITCHING} | 400 | none | none ±" in table
    maps = markdown_maps(result)
    assert maps in table
    assert "| int8 | 2 | 100 |  | 6.0 ± |  |  | 1.00 (model switching) |" in maps
    assert "| int8 | 2 | 400 |  | ends |  |  | 2.00 (model switching) |" in maps
