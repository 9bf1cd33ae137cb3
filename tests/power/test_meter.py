"""From readings to joules, in a time that is made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.power import Energy, NotMeasured, PowerMeter, Rail, Reading, energy_line, per_image


def counter(joules: float, wraps: float | None = 100.0, name: str = "package-0") -> Rail:
    return Rail("rapl", name, joules=joules, wraps_at_j=wraps)


def fed(*steps: tuple[float, Rail | None]) -> PowerMeter:
    meter = PowerMeter()
    for now, rail in steps:
        meter.add(now, Reading(() if rail is None else (rail,)))
    return meter


def test_a_counter_is_what_it_grew_by() -> None:
    meter = fed((0, counter(10)), (2, counter(30)))
    assert meter.total == Energy(20.0, 2.0, 0.0, ("rapl package-0",))
    assert meter.watts == {("rapl", "package-0"): 10.0}


def test_a_counter_is_followed_over_its_range() -> None:
    assert fed((0, counter(95)), (1, counter(5))).total.joules == 10


def test_a_counter_that_was_set_back_leaves_that_time_unmeasured() -> None:
    meter = fed((0, counter(95, None)), (1, counter(5, None)), (2, counter(7, None)))
    assert meter.total == Energy(2.0, 1.0, 1.0, ("rapl package-0",))


def test_power_is_summed_by_the_trapezoid() -> None:
    meter = fed((0, Rail("board", "VDD_IN", 4.0)), (2, Rail("board", "VDD_IN", 6.0)))
    assert (meter.total.joules, meter.total.seconds) == (10.0, 2.0)


def test_a_counter_goes_before_power() -> None:
    meter = fed((0, Rail("nvml", "gpu0", 50, 100)), (1, Rail("nvml", "gpu0", 70, 155)))
    assert (meter.total.joules, meter.watts) == (55, {("nvml", "gpu0"): 70})


def test_what_is_not_counted_is_shown_and_not_summed() -> None:
    meter = PowerMeter()
    for now in (0, 1):
        part = Rail("board", "VDD_SOC", 2.0, counted=False)
        meter.add(now, Reading((Rail("board", "VDD_IN", 6.0), part)))
    assert meter.total.joules == 6
    assert meter.watts[("board", "VDD_SOC")] == 2


def test_a_sensor_that_is_silent_leaves_that_time_unmeasured() -> None:
    meter = fed((0, counter(0)), (1, counter(10)), (2, None), (3, counter(30)), (4, counter(40)))
    assert meter.total == Energy(20.0, 2.0, 2.0, ("rapl package-0",))


def test_a_long_gap_is_not_guessed() -> None:
    rail = Rail("board", "VDD_IN", 5.0)
    meter = fed((0, rail), (1, rail), (3601, rail), (3602, rail))
    assert meter.total == Energy(10.0, 2.0, 3600.0, ("board VDD_IN",))


def test_one_reading_is_no_energy_yet() -> None:
    assert fed((5, counter(10))).total.seconds == 0


@given(
    start=st.integers(0, 99),
    steps=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 99)), min_size=1, max_size=30),
)
def test_nothing_is_lost_between_readings_whatever_the_counter_does(
    start: int, steps: list[tuple[int, int]]
) -> None:
    """Below one turn of the counter a step; seconds and joules are those that were put in."""
    meter, now, joules = PowerMeter(), 0, start
    meter.add(now, Reading((counter(start),)))
    for seconds, grown in steps:
        now, joules = now + seconds, joules + grown
        meter.add(now, Reading((counter(joules % 100),)))
    total = meter.total
    assert total.joules == pytest.approx(joules - start)
    assert (total.seconds, total.unmeasured_s) == (now, 0)


NAMES = ("rapl package-0",)


def test_an_interval_is_the_difference_of_two_totals() -> None:
    found = Energy(30, 10, 0, NAMES).since(Energy(10, 5, 0, NAMES))
    assert found == Energy(20, 5, 0, NAMES)


@pytest.mark.parametrize(
    ("earlier", "reason"),
    [
        (Energy(10, 10, 0, NAMES), "no sensor was read twice"),
        (Energy(10, 2, -4, NAMES), r"sensors were silent for 4\.0 of 12\.0 s"),
        (Energy(99, 2, 0, NAMES), "began again"),
    ],
)
def test_an_interval_that_was_not_measured_says_why(earlier: Energy, reason: str) -> None:
    found = Energy(30, 10, 0, NAMES).since(earlier)
    assert isinstance(found, NotMeasured)
    with pytest.raises(ValueError, match=reason):
        raise ValueError(found.reason)


def test_joules_are_for_each_image_and_each_right_answer() -> None:
    found = per_image(Energy(30, 10, 0, NAMES), 100, 75)
    assert (found["joules_per_image"], found["joules_per_right_answer"]) == (0.3, 0.4)
    assert energy_line(found).startswith("energy: 0.3 J an image, 0.4 J a right answer; 3 W")


def test_no_answer_is_no_figure() -> None:
    found = per_image(Energy(30, 10, 0, NAMES), 0)
    assert energy_line(found) == "energy: not measured: no image was answered"
    assert per_image(Energy(30, 10, 0, NAMES), 5, 0)["joules_per_right_answer"] is None
