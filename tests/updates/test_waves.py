"""Who takes up a version when, and what sends it back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.updates.release import Release, Rollout, Wave
from hawkvision.updates.verdict import Verdict
from hawkvision.updates.waves import (
    ALONE,
    ENDED,
    PASSED,
    Course,
    Fleet,
    Phase,
    opens_at,
    place_of,
    wave_of,
)

NOW = 1_800_000_000.0
WAVES = (Wave(0.05, 3600), Wave(0.3, 7200), Wave(1.0, 60))
ROLLOUT = Rollout(waves=WAVES, first_pairs=10, passes=2)


def release(rollout: Rollout = ROLLOUT) -> Release:
    return Release("tiny", "2", NOW, (), rollout)


def course(wave: int = 0, rollout: Rollout = ROLLOUT, phase: Phase = Phase.WAITING) -> Course:
    return Course(release(rollout), wave, phase, NOW)


def agents_in(wave: int, count: int) -> list[str]:
    """Ids of agents that are in a wave."""
    found = (f"agent-{number}" for number in range(10_000))
    inside = (one for one in found if wave_of(ROLLOUT, place_of(one, "tiny", "2")) == wave)
    return [next(inside) for _ in range(count)]


def test_waves_take_their_shares_of_the_agents() -> None:
    places = [place_of(f"agent-{number}", "tiny", "2") for number in range(20_000)]
    shares = [
        sum(wave_of(ROLLOUT, place) == wave for place in places) / len(places) for wave in range(3)
    ]
    assert shares == pytest.approx([0.05, 0.25, 0.7], abs=0.012)


def test_another_version_finds_other_agents_first() -> None:
    ids = [f"agent-{number}" for number in range(2000)]
    first = {one for one in ids if place_of(one, "tiny", "2") < 0.05}
    other = {one for one in ids if place_of(one, "tiny", "3") < 0.05}
    assert len(first & other) < len(first) / 3


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_every_agent_has_a_place_in_a_wave(agent: str, task: str, version: str) -> None:
    place = place_of(agent, task, version)
    assert 0 <= place < 1
    assert 0 <= wave_of(ROLLOUT, place) < len(WAVES)


def test_a_wave_opens_when_those_before_it_have_lasted() -> None:
    assert [opens_at(release(), wave) - NOW for wave in range(3)] == [0, 3600, 10_800]
    assert course(0).step(NOW).phase is Phase.TRIAL
    assert course(1).step(NOW + 3599).phase is Phase.WAITING
    assert course(1).step(NOW + 3600).phase is Phase.TRIAL


def test_a_wave_waits_until_enough_of_the_earlier_agents_have_passed() -> None:
    early, later = agents_in(0, 3), agents_in(1, 2)
    late = NOW + 1e6
    notes: dict[str, str] = dict.fromkeys([*early, *later], "trial")
    assert course(1).step(late, Fleet(notes)).phase is Phase.WAITING
    notes |= {early[0]: PASSED, later[0]: PASSED}
    assert course(1).step(late, Fleet(notes)).phase is Phase.WAITING
    notes |= {early[1]: PASSED}
    assert course(1).step(late, Fleet(notes)).phase is Phase.TRIAL


def test_where_earlier_waves_have_fewer_agents_all_of_them_are_waited_for() -> None:
    [early] = agents_in(0, 1)
    late = NOW + 1e6
    assert course(2).step(late, Fleet({early: "serving"})).phase is Phase.WAITING
    assert course(2).step(late, Fleet({early: PASSED})).phase is Phase.TRIAL
    assert course(2).step(late, ALONE).phase is Phase.TRIAL


def test_an_earlier_agent_that_cannot_load_the_version_is_not_waited_for() -> None:
    first, second = agents_in(0, 2)
    late = NOW + 1e6
    assert course(1).step(late, Fleet({first: "refused", second: "trial"})).phase is Phase.WAITING
    assert course(1).step(late, Fleet({first: "refused", second: PASSED})).phase is Phase.TRIAL
    assert course(1).step(late, Fleet({first: "refused"})).phase is Phase.TRIAL


def test_agents_of_earlier_waves_have_time_to_say_that_they_are_there() -> None:
    late = NOW + 1e6
    assert course(2).step(late, Fleet({}, settled=False)).phase is Phase.WAITING
    assert course(2).step(late, Fleet({}, settled=True)).phase is Phase.TRIAL
    assert course(0).step(late, Fleet({}, settled=False)).phase is Phase.TRIAL


def test_the_new_version_serves_after_the_first_pairs() -> None:
    trial = course(phase=Phase.TRIAL)
    assert trial.step(NOW, pairs=9).phase is Phase.TRIAL
    assert trial.step(NOW, pairs=10).phase is Phase.SERVING


def test_it_is_accepted_once_it_passes_and_its_wave_has_lasted() -> None:
    serving = course(phase=Phase.SERVING)
    passed = serving.step(NOW + 10, verdict=Verdict.PASSES)
    assert (passed.phase, passed.note) == (Phase.SERVING, PASSED)
    assert passed.step(NOW + 3600).phase is Phase.ACCEPTED
    assert serving.step(NOW + 3600).phase is Phase.SERVING


def test_it_goes_back_while_it_is_watched_even_after_it_passed() -> None:
    passed = course(phase=Phase.SERVING).step(NOW, verdict=Verdict.PASSES)
    assert passed.step(NOW + 20, verdict=Verdict.WORSE).phase is Phase.REFUSED


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.TRIAL, Phase.SERVING])
def test_a_halt_in_the_fleet_ends_it_everywhere(phase: Phase) -> None:
    found = course(phase=phase).step(NOW, Fleet({}, halt="agent x: worse"))
    assert found.phase is Phase.REFUSED
    assert "agent x: worse" in found.reason


steps = st.tuples(
    st.floats(0, 1e5), st.sampled_from(Verdict), st.integers(0, 500), st.none() | st.just("halted")
)


@given(st.integers(0, 2), st.lists(steps, max_size=20))
def test_no_version_is_accepted_without_having_passed(
    wave: int, told: list[tuple[float, Verdict, int, str | None]]
) -> None:
    """Whatever happens: what ended stays, harm and halts refuse, and only a pass is accepted."""
    now, found, passed = NOW, course(wave), False
    nobody: Mapping[str, str] = {}
    for seconds, verdict, pairs, halt in told:
        now += seconds
        before = found
        found = before.step(now, Fleet(nobody, halt), verdict, pairs)
        if before.phase in ENDED:
            assert found == before
            continue
        passed = passed or verdict is Verdict.PASSES
        if halt is not None or verdict in (Verdict.WORSE, Verdict.SLOWER):
            assert found.phase is Phase.REFUSED
        if found.phase is Phase.ACCEPTED:
            assert passed
            assert before.phase is Phase.SERVING
            assert now - found.began >= WAVES[wave].at_least_s
