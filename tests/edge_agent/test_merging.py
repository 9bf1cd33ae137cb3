"""Metrics of several workers as those of one."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.merging import Merged, latest, snapshot


def worker(answers: int, streams: int = 0, unknown: int = 0, held: int = 0) -> Any:
    registry = CollectorRegistry()
    counter = Counter("hawkvision_answers", "Answers.", ("task",), registry=registry)
    seconds = Histogram("hawkvision_request_seconds", "T.", buckets=(1, 2), registry=registry)
    for index in range(answers):
        counter.labels('a"b\n').inc()
        seconds.observe(index % 3)
    Gauge("hawkvision_streams", "Open.", registry=registry).set(streams)
    Gauge("hawkvision_stream_datagrams_unknown", "U.", registry=registry).set(unknown)
    Gauge("hawkvision_gateway_breaker_open", "B.", registry=registry).set(held)
    return orjson.loads(orjson.dumps(snapshot(registry)))


def accuracy(value: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("hawkvision_accuracy", "A.", ("what",), registry=registry).labels("x").set(value)
    return registry


def read(merged: Merged, from_store: Any = ()) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(merged.text(from_store)):
        for sample in family.samples:
            key = sample.name + "".join(
                f",{value}" for name, value in sorted(sample.labels.items()) if name != "task"
            )
            found[key] = sample.value
    return found


def test_each_by_its_sense() -> None:
    merged = Merged()
    for index in range(2):
        merged.started(index)
    merged.take(0, 100, worker(4, streams=2, unknown=1, held=1))
    merged.take(1, 101, worker(3, streams=5, unknown=2))
    found = read(merged)
    assert found["hawkvision_answers_total"] == 7
    assert found["hawkvision_request_seconds_count"] == 7
    assert found["hawkvision_request_seconds_bucket,1.0"] == 5
    assert found["hawkvision_streams"] == 7
    assert found["hawkvision_gateway_breaker_open"] == 1
    assert found["hawkvision_workers"] == 2


def test_what_the_store_says_is_the_scraped_worker_s() -> None:
    merged = Merged()
    merged.take(0, 100, snapshot(accuracy(0.7)))
    assert "hawkvision_accuracy,x" not in read(merged)
    assert read(merged, latest(accuracy(0.9)))["hawkvision_accuracy,x"] == 0.9
    assert "hawkvision_answers_total" not in read(merged, latest(accuracy(0.9)))


def test_of_an_ended_worker_what_it_counted_stays_and_what_it_had_goes() -> None:
    merged = Merged()
    merged.take(0, 100, worker(4, streams=2, unknown=1, held=1))
    merged.take(1, 101, worker(3, streams=5, unknown=2))
    merged.ended(0, "signal 9 (SIGKILL)")
    found = read(merged)
    assert found["hawkvision_answers_total"] == 7
    assert found["hawkvision_streams"] == 5
    assert found["hawkvision_stream_datagrams_unknown"] == 3
    assert found["hawkvision_gateway_breaker_open"] == 0
    assert found["hawkvision_worker_ends_total,signal 9 (SIGKILL)"] == 1
    merged.take(0, 102, worker(1, streams=1))
    found = read(merged)
    assert found["hawkvision_answers_total"] == 8
    assert found["hawkvision_streams"] == 6


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["count", "tell", "die"]))))
def test_no_counter_goes_back_and_none_is_counted_twice(steps: list[tuple[int, str]]) -> None:
    merged, shown = Merged(), 0.0
    counted, told, processes, gone = [0, 0, 0], [0, 0, 0], [0, 1, 2], 0
    for index, what in steps:
        if what == "count":
            counted[index] += 1
        elif what == "tell":
            told[index] = counted[index]
            merged.take(index, processes[index], worker(counted[index]))
        else:
            merged.ended(index, "status 1")
            gone += told[index]
            counted[index] = told[index] = 0
            processes[index] += 3
        now = read(merged).get("hawkvision_answers_total", 0.0)
        assert now == gone + sum(told) >= shown
        shown = now
