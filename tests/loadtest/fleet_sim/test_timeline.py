"""The virtual clock: in order, once, and never waiting."""

from __future__ import annotations

import asyncio

import pytest

from loadtest.bench.fleet_sim.timeline import Timeline, at_once


def test_what_is_due_happens_in_order_of_time_and_then_of_asking() -> None:
    timeline, seen = Timeline(), list[tuple[float, str]]()

    def see(name: str) -> None:
        seen.append((timeline.now, name))

    for time_s, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "later")):
        timeline.at(time_s, see, name)
    timeline.run(5.0)
    assert seen == [(1.0, "a"), (1.0, "b"), (2.0, "c")]
    assert timeline.now == 5.0


def test_what_comes_of_an_event_happens_in_the_same_run() -> None:
    timeline, seen = Timeline(), list[float]()

    def again() -> None:
        seen.append(timeline.now)
        if len(seen) < 3:
            timeline.at(timeline.now + 1, again)

    timeline.at(1.0, again)
    timeline.run(10.0)
    assert seen == [1.0, 2.0, 3.0]


async def _nested() -> int:
    async def inner() -> int:
        return 4

    return 1 + await inner()


def test_a_coroutine_that_waits_for_nothing_ends_at_once() -> None:
    assert at_once(_nested()) == 5


def test_one_that_waits_is_refused() -> None:
    with pytest.raises(RuntimeError, match="stands still"):
        at_once(asyncio.sleep(0))
