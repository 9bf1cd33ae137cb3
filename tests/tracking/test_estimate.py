"""Estimates of delivered accuracy: right on average, with intervals that hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tracking import counts as observe
from hawkvision.tracking.control.audit import AuditPolicy, AuditSettings
from hawkvision.tracking.control.harm import EscalationBreaker, p_edge_better
from hawkvision.tracking.counts import Delivered
from hawkvision.tracking.estimate import (
    audits,
    chosen,
    feedback,
    from_all_sources,
    prediction,
)
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.delivery import Counters
from tests.tracking.traffic import CLEAN, draw

KEY = CountKey("t", "", "0.9")


def simulate(
    seed: int, n: int = 4000, share: float = 0.1, labels: float = 0.1
) -> tuple[Delivered, float]:
    """Counters after n requests of clean traffic at a threshold of 0.7, and the true accuracy."""
    rng = np.random.default_rng(seed)
    counters, right = Counters(), 0
    for _ in range(n):
        confidence, edge, dc, chance_edge, chance_dc = draw(CLEAN, rng)
        local = confidence >= 0.7
        right += edge if local else dc
        observe.answered(
            counters.add,
            KEY,
            served_by="edge" if local else "dc",
            degraded=None,
            loss_level=0,
            edge_confidence=confidence,
            answer_confidence=confidence if local else chance_dc,
        )
        if local and rng.random() < share:
            observe.audited(
                counters.add,
                KEY,
                edge_error=1 - chance_edge,
                weight=1 / share,
            )
        if rng.random() < labels:
            observe.fed_back(
                counters.add,
                KEY,
                served_by="edge" if local else "dc",
                error=float(not (edge if local else dc)),
                edge_error=float(not edge),
            )
    batch = counters.take(0.0)
    assert batch is not None
    return Delivered.read(batch.counts[KEY]), right / n


def test_intervals_hold_the_truth() -> None:
    held = {"feedback": 0, "audits": 0}
    for seed in range(40):
        sums, truth = simulate(seed, 1500)
        for one in (feedback(sums), audits(sums)):
            assert one is not None
            held[one.source] += one.low <= truth <= one.high
    assert held["feedback"] >= 36
    assert held["audits"] >= 34  # rests on the data center's own calibration too


def test_every_source_is_near_the_truth_on_calibrated_traffic() -> None:
    sums, truth = simulate(1, 20_000)
    for one in (feedback(sums), audits(sums), prediction(sums)):
        assert one is not None
        assert one.value == pytest.approx(truth, abs=0.03)
        assert one.low <= one.value <= one.high
    assert [one.source for one in from_all_sources(sums)] == ["feedback", "audits", "prediction"]


def test_nothing_is_claimed_without_evidence() -> None:
    sums, _ = simulate(2, 500, share=1e-9, labels=0)
    assert feedback(sums) is None and audits(sums) is None and prediction(sums) is not None
    assert from_all_sources(Delivered.read({})) == []


def test_labels_of_escalated_requests_alone_do_not_pass_for_all() -> None:
    one = feedback(
        Delivered.read(
            {
                "answers/edge/0": 900.0,
                "answers/dc/0": 100.0,
                "feedback/dc/n": 50.0,
                "feedback/dc/right": 50.0,
            }
        )
    )
    assert one is not None and one.n == 50
    assert one.low < 0.15 and one.effective == 0


COUNT = st.integers(0, 3000).map(float)
SHARE = st.floats(0, 1)


@st.composite
def tallies(draw: st.DrawFn) -> dict[str, float]:
    """Counts as they may be: answers of either rung, audits and labels of some of them."""
    local, up = draw(COUNT) + 1, draw(COUNT)
    sums = {"answers/edge/0": local, "answers/dc/0": up}
    sums |= {"confidence/edge": local * draw(SHARE), "confidence/dc": up * draw(SHARE)}
    for name, n, right in (("edge", local, draw(SHARE)), ("dc", up, draw(SHARE))):
        labels = float(round(n * draw(st.sampled_from((0, 0, 0.002, 0.1, 1)))))
        sums[f"feedback/{name}/n"] = labels
        sums[f"feedback/{name}/right"] = float(round(labels * right))
    audited = float(round(local * draw(st.sampled_from((0, 0.03, 0.3)))))
    weight, wrong = draw(st.floats(1, 50)), draw(SHARE)
    sums |= {"audit/n": audited, "audit/w": audited * weight, "audit/w2": audited * weight**2}
    return sums | {"audit/loss": audited * weight * wrong}


def width(sums: dict[str, float]) -> float:
    one = chosen(from_all_sources(Delivered.read(sums)))
    assert one is not None
    return one.high - one.low


@given(tallies(), st.sampled_from(("edge", "dc")), st.booleans())
def test_a_label_never_makes_what_is_shown_useless(
    sums: dict[str, float], rung: str, right: bool
) -> None:
    if sums[f"answers/{rung}/0"] <= sums[f"feedback/{rung}/n"]:
        return
    before = width(sums)
    sums[f"feedback/{rung}/n"] += 1
    sums[f"feedback/{rung}/right"] += right
    after = width(sums)
    assert after <= max(before * 1.1, 0.5)


def test_one_label_among_hundreds_of_answers_hides_no_audits() -> None:
    sums = {"answers/edge/0": 901.0, "confidence/edge": 880.0}
    sums |= {"audit/n": 40.0, "audit/w": 1300.0, "audit/w2": 43000.0, "audit/loss": 80.0}
    labelled = sums | {"feedback/edge/n": 1.0, "feedback/edge/right": 1.0}
    for found in (sums, labelled):
        one = chosen(from_all_sources(Delivered.read(found)))
        assert one is not None and one.source == "audits"
    many = sums | {"feedback/edge/n": 60.0, "feedback/edge/right": 50.0}
    one = chosen(from_all_sources(Delivered.read(many)))
    assert one is not None and one.source == "feedback"


@pytest.mark.parametrize("labels", [0.004, 0.03, 0.15])
def test_what_is_chosen_holds_the_truth_as_often_as_it_says(labels: float) -> None:
    held = 0
    for seed in range(60):
        sums, truth = simulate(seed, 1000, labels=labels)
        one = chosen(from_all_sources(sums))
        assert one is not None and one.source != "prediction"
        held += one.low <= truth <= one.high
    assert held >= 54


@given(st.floats(0, 1))
def test_a_confidence_lies_in_its_bin(confidence: float) -> None:
    index = observe.bin_of(confidence)
    assert 0 <= index < observe.BINS
    place = observe.place_of(confidence)
    assert index == observe.BINS - 1 or index <= place < index + 1
    if 0.003 < confidence < 0.997:
        assert observe.confidence_at(place) == pytest.approx(confidence)


def test_harm_is_noticed_soon_and_forgotten_later() -> None:
    rng = np.random.default_rng(0)
    needed = []
    for _ in range(50):
        breaker, count = EscalationBreaker(), 0
        while not breaker.open:
            count += 1
            edge, dc = rng.random() < 0.69, rng.random() < 0.44
            breaker = breaker.see(float(edge > dc), float(dc > edge), 1)
        needed.append(count)
    assert np.median(needed) <= 60
    for _ in range(600):
        edge, dc = rng.random() < 0.7, rng.random() < 0.9
        breaker = breaker.see(float(edge > dc), float(dc > edge), 1)
    assert not breaker.open


def test_a_better_data_center_hardly_ever_trips_it() -> None:
    rng = np.random.default_rng(1)
    tripped = 0
    for _ in range(100):
        breaker = EscalationBreaker()
        for _ in range(300):
            edge, dc = rng.random() < 0.7, rng.random() < 0.8
            breaker = breaker.see(float(edge > dc), float(dc > edge), 1)
            tripped += breaker.tripped
    assert tripped <= 300


def test_strict_mode_waits_for_proof() -> None:
    breaker = EscalationBreaker("strict")
    assert breaker.open
    for _ in range(40):
        breaker = breaker.see(0.0, 1.0, 2)
    assert not breaker.open
    assert p_edge_better(0, 5) == 1.0 and p_edge_better(10, 0) == pytest.approx(2**-10)


def test_a_shift_raises_audits_for_a_while() -> None:
    rng = np.random.default_rng(2)
    policy = AuditPolicy(0.8, 0.2, AuditSettings())
    for _ in range(100):
        policy.see(50, float(np.clip(rng.normal(0.8, 0.2, 50), 0, 1).sum()))
    assert policy.alarms == 0 and policy.share == 0.03
    for _ in range(6):
        policy.see(50, float(np.clip(rng.normal(0.6, 0.2, 50), 0, 1).sum()))
    assert policy.alarms == 1 and policy.share == 0.09
    for _ in range(14):
        policy.see(50, float(np.clip(rng.normal(0.6, 0.2, 50), 0, 1).sum()))
    assert policy.share == 0.03
