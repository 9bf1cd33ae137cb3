"""Our own numbers are told as those of prometheus_client's metrics are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from edge_agent.answer_series import BOUNDS_S, AnswerSeries, Series

EACH = (
    (("a", "0.9", "edge", ""), "small"),
    (("a", "0.9", "dc", ""), "large"),
    (("a", "0.95", "edge", "loss"), "small"),
    (("b", "0.9", "edge", ""), "small"),
)


def theirs(answers: list[tuple[int, float]]) -> CollectorRegistry:
    """The same counted by prometheus_client."""
    registry = CollectorRegistry()
    ours = {family.name: family for family in AnswerSeries().collect()}
    total = Counter(
        "hawkvision_answers",
        ours["hawkvision_answers"].documentation,
        ("task", "target", "served_by", "degraded"),
        registry=registry,
    )
    seconds = Histogram(
        "hawkvision_request_seconds",
        ours["hawkvision_request_seconds"].documentation,
        ("task", "served_by"),
        buckets=BOUNDS_S,
        registry=registry,
    )
    rungs = Counter(
        "hawkvision_rung_answers",
        ours["hawkvision_rung_answers"].documentation,
        ("task", "rung", "served_by"),
        registry=registry,
    )
    for which, took in answers:
        labels, rung = EACH[which]
        task, _, served_by, _ = labels
        total.labels(*labels).inc()
        seconds.labels(task, served_by).observe(took)
        rungs.labels(task, rung, served_by).inc()
    return registry


def lines(registry: CollectorRegistry) -> set[str]:
    """What is told, but for the times at which series began; sums to 9 digits."""
    found = set()
    for line in generate_latest(registry).decode().splitlines():
        name, _, value = line.rpartition(" ")
        if "_created{" in name:
            found.add(name)
        elif "_sum{" in name:
            found.add(f"{name} {float(value):.9g}")
        else:
            found.add(line)
    return found


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(EACH) - 1), st.sampled_from(BOUNDS_S) | st.floats(0, 10, width=32)
        ),
        max_size=30,
    )
)
def test_they_are_told_as_prometheus_client_tells_its_own(answers: list[tuple[int, float]]) -> None:
    ours, registry = AnswerSeries(), CollectorRegistry()
    registry.register(ours)
    begun: dict[int, Series] = {}
    for which, took in answers:
        if which not in begun:
            begun[which] = ours.begin(*EACH[which])
        begun[which].add(took)
    assert lines(registry) == lines(theirs(answers))


def test_series_with_the_same_labels_add_up_and_began_with_the_first() -> None:
    ours = AnswerSeries()
    first, second = ours.begin(*EACH[0]), ours.begin(*EACH[0])
    first.created_s, second.created_s = 5.0, 3.0
    first.add(0.5)
    second.add(0.25)
    samples = {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in ours.collect()
        for sample in family.samples
    }
    assert samples["hawkvision_answers_total", ""] == 2
    assert samples["hawkvision_request_seconds_created", ""] == 3.0
    assert samples["hawkvision_request_seconds_sum", ""] == pytest.approx(0.75)
    assert samples["hawkvision_request_seconds_bucket", "0.2"] == 0
    assert samples["hawkvision_request_seconds_bucket", "+Inf"] == 2
