"""What `bench server` says of several workers."""

from __future__ import annotations

from typing import Any

from loadtest.bench.workers import _summary, bare_together


def test_bare_loops_at_once_are_added_up() -> None:
    def bare(_seconds: float) -> dict[str, Any]:
        return {"cpu_s": 1.0, "wall_s": 2.0, "count": 4000}

    assert bare_together(bare, 2.0) == {"rate": 4000.0, "cpu_ms": 0.25}


def test_workers_are_set_against_the_bare_loops() -> None:
    pairs = [{"rate": 4000.0, "cpu_ms": 0.5}]
    found = {
        8: [{"rate": 3000.0, "cpu_ms": 0.75}],
        32: [{"rate": 2000.0, "cpu_ms": 1.0}],
    }
    said = _summary(pairs, found, 100.0, 3.0)
    assert said["throughput_ratio"] == 0.75
    assert said["throughput_ratios"] == {"8": 0.75, "32": 0.5}
    assert said["cpu_ratio_workers"] == {"8": 1.5, "32": 2.0}
    del found[8]
    assert _summary(pairs, found, 100.0, 3.0)["throughput_ratio"] == 0.5
