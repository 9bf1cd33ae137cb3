"""Criteria fail where something was taken from the normal client, and only there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.attack import show
from tests.attack.judge import PEAK_MIB, flat, is_fault, verdicts
from tests.attack.record import (
    Memory,
    Phase,
    Result,
    Served,
    Size,
    drift,
    quantile,
    quantile_interval,
    served,
    slope,
)

CALM = Memory(200, 210, 205, 40, 60, 42, True)
GOOD = Served(100, 100, {}, {}, 5.0, 20.0, (15.0, 30.0))
PHASE = Phase(
    "silent",
    5.0,
    {"http": GOOD, "grpc": GOOD, "stream": GOOD},
    {"edge": CALM, "dc": CALM},
    {"opened": 9, "503 overloaded": 3},
    quiet_p99_ms=10.0,
)


def broken(phase: Phase) -> set[str]:
    return {one.criterion for one in verdicts(phase) if not one.held}


def with_http(one: Served) -> Phase:
    return replace(PHASE, served={**PHASE.served, "http": one})


def test_a_good_phase_holds() -> None:
    assert broken(PHASE) == set()
    assert show.row(PHASE).endswith("PASS")


@pytest.mark.parametrize(
    ("phase", "criterion"),
    [
        (with_http(replace(GOOD, answered=99, errors={"timeout": 1})), "http answered"),
        (with_http(replace(GOOD, sent=0, answered=0)), "http answered"),
        (with_http(replace(GOOD, p99_ms=30.1)), "P99"),
        (with_http(replace(GOOD, p99_ms=None)), "P99"),
        (with_http(replace(GOOD, degraded={"overload": 6})), "degraded"),
        (replace(PHASE, services={"edge": replace(CALM, alive=False)}), "edge alive"),
        (replace(PHASE, services={"edge": replace(CALM, peak=201 + PEAK_MIB)}), "edge peak"),
        (replace(PHASE, services={"dc": replace(CALM, after=300)}), "dc back"),
        (replace(PHASE, logged={"dc": 500}), "dc log lines"),
        (replace(PHASE, leaked=["edge: key"]), "no secret"),
        (replace(PHASE, drift_mib={"edge": 33.0}), "edge steady"),
        (replace(PHASE, services={"dc": replace(CALM, descriptors_after=90)}), "dc descriptors"),
        (replace(PHASE, tally={"500 internal": 1}), "no 500"),
        (replace(PHASE, tally={"silent broke off: x": 1}), "no 500"),
        (replace(PHASE, tracebacks=["edge: 1"]), "log"),
        (replace(PHASE, aftermath={"timeout": 1}), "answered after it"),
    ],
)
def test_each_criterion_fails_alone(phase: Phase, criterion: str) -> None:
    assert broken(phase) == {criterion}
    assert show.row(phase).endswith("FAIL")


def test_pages_of_files_are_not_memory_that_somebody_keeps() -> None:
    read = replace(CALM, after=300.0, mapped=95.0)
    assert broken(replace(PHASE, services={"dc": read})) == set()
    assert Size(0.0, 300.0, 1, 95.0).own_mib == 205.0


def test_under_overload_refusals_are_fine_but_not_late_answers_or_other_errors() -> None:
    sums = {"capacity": 100.0, "goodput": 90.0, "admitted_p99_ms": 1100.0}
    refused = replace(GOOD, answered=20, errors={"503 overloaded": 80})
    phase = replace(with_http(refused), overload=sums)
    assert broken(phase) == set()
    assert broken(replace(phase, overload={**sums, "goodput": 84})) == {"goodput"}
    assert broken(replace(phase, overload={**sums, "admitted_p99_ms": 1201})) == {"admitted P99"}
    after = {"503 overloaded": 3, "timeout": 1}
    assert broken(replace(phase, aftermath=after)) == {"answered after it"}
    del after["timeout"]
    assert broken(replace(phase, aftermath=after)) == set()
    other = replace(refused, errors={"503 overloaded, no Retry-After": 80})
    assert broken(replace(with_http(other), overload=sums)) == {"refused at once"}


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        ("200", False),
        ("413 too_large", False),
        ("503 overloaded", False),
        ("503", False),
        ("503 without Retry-After", True),
        ("500 internal", True),
        ("502", True),
        ("400 without a code", True),
        ("grpc INVALID_ARGUMENT", False),
        ("grpc INTERNAL", True),
        ("grpc UNKNOWN", True),
    ],
)
def test_faults_are_told_from_refusals(outcome: str, fault: bool) -> None:
    assert is_fault(outcome) is fault


def test_growth_is_not_flat() -> None:
    assert flat("edge", 0.3).held
    assert not flat("edge", 1.5).held


def test_results_are_counted_by_door() -> None:
    found = served(
        [
            Result("http", 1.0, 10.0, "200", None),
            Result("http", 1.1, 20.0, "200", "overload"),
            Result("http", 1.2, 5.0, "503 overloaded", None),
            Result("grpc", 1.2, 7.0, "200", None),
        ]
    )
    assert (found["http"].sent, found["http"].answered) == (3, 2)
    assert found["http"].degraded == {"overload": 1}
    assert found["http"].errors == {"503 overloaded": 1}
    assert found["grpc"].p99_ms == 7.0
    assert found["stream"].sent == 0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_quantiles_are_values_within_their_interval(values: list[float], share: float) -> None:
    found, interval = quantile(values, share), quantile_interval(values, share)
    assert found in values
    assert interval is not None
    assert interval[0] <= found <= interval[1]
    assert sum(value <= found for value in values) >= share * len(values)


def test_a_slope_is_that_of_the_line() -> None:
    assert slope([(0, 1.0), (1, 3.0), (2, 5.0)]) == pytest.approx(2.0)
    assert slope([(0, 1.0)]) == 0.0


def test_what_is_written_is_read_again_and_shown() -> None:
    assert Phase.parse(PHASE.as_dict()) == PHASE
    lines = show.markdown([PHASE]).splitlines()
    assert len(lines) == 3
    assert len({line.count("|") for line in lines}) == 1


@given(st.integers(0, 9999), st.floats(0, 99_999), st.floats(-999, 9999))
def test_rows_fit_eighty_columns(count: int, took_ms: float, size: float) -> None:
    door = Served(count, count, {"overload": count}, {}, took_ms, took_ms, None)
    memory = Memory(0, size, size, 0, 0, 0, True)
    phase = Phase("grpc-unfinished", 1, {"http": door}, {"edge": memory, "dc": memory})
    assert len(show.row(phase)) <= 80
    assert all(len(line) <= 80 for line in [show.HEADER, show.UNITS, *show.reasons(phase)])


def test_drift_is_between_the_middle_and_the_last_third() -> None:
    grows = [(float(at), 2.0 * at) for at in range(31)]
    assert drift(grows) == pytest.approx(2.0 * 10.5)
    warmed = [(float(at), 900.0 if at < 10 else 50.0) for at in range(31)]
    assert drift(warmed) == drift([]) == drift([(1.0, 5.0)]) == 0.0
