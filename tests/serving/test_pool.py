"""Threads behind a bounded queue: no wake-up is lost, nothing is done for nobody."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hawkvision.errors import DeadlineExceeded, Overloaded
from hawkvision.serving.job import LATER, Ticket
from hawkvision.serving.pool import WorkerPool


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Held:
    """Work that goes on until it is told to stop."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.release = threading.Event()

    def __call__(self, item: Any, _ticket: Ticket) -> Any:
        self.started.set()
        self.release.wait(60)
        return item


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(1, 3, asyncio.get_running_loop(), Now())
    yield made
    made.close()


def echo(item: Any, _ticket: Ticket) -> Any:
    return item


async def test_results_and_faults_come_back(pool: WorkerPool) -> None:
    def fail(_item: Any, _ticket: Ticket) -> None:
        raise ValueError("no")

    assert await pool.submit(echo, 3) == 3
    with pytest.raises(ValueError, match="no"):
        await pool.submit(fail, None)
    assert pool.pending == 0


async def test_a_result_that_comes_while_others_are_handed_over_is_not_forgotten() -> None:
    """The thread is stopped just before it appends, until the loop has taken everything out."""
    pool = WorkerPool(2, 4, asyncio.get_running_loop())
    about_to_append, taken_out = threading.Event(), threading.Event()

    class Slow(deque[Any]):
        def append(self, job: Any) -> None:
            if job.item == "second":
                about_to_append.set()
                taken_out.wait(60)
            super().append(job)

    pool._done = Slow()
    first = pool.submit(echo, "first")
    while not pool._done:  # the loop does not run: nothing is taken out meanwhile
        time.sleep(0.001)
    second = pool.submit(echo, "second")
    about_to_append.wait(60)
    assert await first == "first"
    taken_out.set()
    assert await asyncio.wait_for(second, 30) == "second"
    pool.close()


async def test_many_results_of_many_threads_all_come_back() -> None:
    pool = WorkerPool(8, 4000, asyncio.get_running_loop())
    results = await asyncio.gather(*(pool.submit(echo, index) for index in range(4000)))
    assert results == list(range(4000)) and pool.pending == 0
    pool.close()


async def test_a_job_past_its_deadline_is_never_run(pool: WorkerPool) -> None:
    held, ran = Held(), []
    clock = pool._clock
    assert isinstance(clock, Now)
    busy = pool.submit(held, None)
    held.started.wait(60)
    late = pool.submit(lambda item, _: ran.append(item), "late", deadline=clock.time + 1)
    clock.time += 2
    held.release.set()
    await busy
    with pytest.raises(DeadlineExceeded):
        await late
    assert ran == [] and pool.pending == 0


async def test_a_cancelled_job_is_never_run(pool: WorkerPool) -> None:
    held, ran = Held(), []
    busy = pool.submit(held, None)
    held.started.wait(60)
    gone = pool.submit(lambda item, _: ran.append(item), "gone")
    gone.cancel()
    held.release.set()
    await busy
    assert await pool.submit(echo, "next") == "next"
    assert ran == [] and pool.pending == 0


async def test_work_can_ask_whether_it_is_still_wanted(pool: WorkerPool) -> None:
    started, cancelled = threading.Event(), threading.Event()
    seen: list[bool] = []

    def work(_item: Any, ticket: Ticket) -> None:
        started.set()
        cancelled.wait(60)
        seen.append(ticket.wanted)
        ticket.check()

    job = pool.submit(work, None)
    started.wait(60)
    job.cancel()
    cancelled.set()
    assert await pool.submit(echo, 1) == 1
    assert seen == [False]


async def test_who_finds_a_thread_idle_is_answered_however_late(pool: WorkerPool) -> None:
    assert await pool.submit(echo, "late", deadline=0.0) == "late"


async def test_dead_jobs_make_room_for_live_ones(pool: WorkerPool) -> None:
    held = Held()
    clock = pool._clock
    assert isinstance(clock, Now)
    busy = pool.submit(held, None)
    held.started.wait(60)
    dead = [pool.submit(echo, index, deadline=clock.time + 1) for index in range(3)]
    with pytest.raises(Overloaded, match="3 images wait, 3 fit"):
        pool.submit(echo, "one too many")
    clock.time += 2
    live = pool.submit(echo, "live")
    for job in dead:
        with pytest.raises(DeadlineExceeded):
            await job
    held.release.set()
    assert (await busy, await live) == (None, "live")


@pytest.fixture
async def lanes() -> AsyncIterator[WorkerPool]:
    """One thread for small jobs and one for jobs of more than a hundred pixels."""
    made = WorkerPool(1, 3, asyncio.get_running_loop(), Now(), quick_pixels=100)
    yield made
    made.close()


def weighing(*pixels: int) -> Any:
    """Work that decodes images of so many pixels one after the other."""

    def work(item: Any, ticket: Ticket) -> tuple[Any, str]:
        for one in pixels:
            ticket.weigh(one)
        return item, threading.current_thread().name

    return work


async def test_large_jobs_are_done_on_threads_of_their_own(lanes: WorkerPool) -> None:
    assert await lanes.submit(weighing(100), 1) == (1, "infer-0")
    assert await lanes.submit(weighing(101), 2) == (2, "large-0")
    assert await lanes.submit(weighing(60, 60), 3) == (3, "large-0")
    assert lanes.pending == 0


async def test_small_jobs_do_not_wait_for_large_ones(lanes: WorkerPool) -> None:
    held = Held()

    def large(item: Any, ticket: Ticket) -> Any:
        ticket.weigh(1000)
        return held(item, ticket)

    jobs = [lanes.submit(large, index) for index in range(3)]
    held.started.wait(60)
    assert (await lanes.submit(weighing(100), "small"))[0] == "small"
    assert not any(job.done() for job in jobs)
    held.release.set()
    assert await asyncio.gather(*jobs) == [0, 1, 2]


async def test_large_jobs_are_bounded_too(lanes: WorkerPool) -> None:
    held = Held()

    def large(item: Any, ticket: Ticket) -> Any:
        ticket.weigh(1000)
        return held(item, ticket)

    jobs = [lanes.submit(large, index) for index in range(3)]
    held.started.wait(60)
    jobs += [lanes.submit(large, index) for index in range(3, 6)]
    results = asyncio.gather(*jobs, return_exceptions=True)
    while not any(job.done() for job in jobs):
        await asyncio.sleep(0.001)
    held.release.set()
    told = await results
    refused = [one for one in told if isinstance(one, Overloaded)]
    assert refused and "3 images wait, 3 fit" in str(refused[0])
    assert len(refused) + sum(isinstance(one, int) for one in told) == 6
    assert lanes.pending == 0


async def test_a_large_job_past_its_deadline_is_never_run(lanes: WorkerPool) -> None:
    held, ran = Held(), []
    clock = lanes._clock
    assert isinstance(clock, Now)

    def large(item: Any, ticket: Ticket) -> Any:
        ticket.weigh(1000)
        return held(item, ticket)

    def late(item: Any, ticket: Ticket) -> None:
        ticket.weigh(1000)
        ran.append(item)

    busy = lanes.submit(large, 0)
    held.started.wait(60)
    job = lanes.submit(late, "late", deadline=clock.time + 1)
    while lanes._large.admission.waiting != 1:
        await asyncio.sleep(0.001)
    clock.time += 2
    held.release.set()
    await busy
    with pytest.raises(DeadlineExceeded):
        await job
    assert ran == []


async def test_threads_for_large_jobs_stand_back(lanes: WorkerPool) -> None:
    def nice(_item: None, ticket: Ticket) -> int:
        ticket.weigh(1000)
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    found = await lanes.submit(nice, None)
    here = os.getpriority(os.PRIO_PROCESS, 0)
    assert found == (min(19, here + 10) if Path("/proc/self/task").exists() else here)


async def test_work_that_is_answered_later_is_counted_until_then(pool: WorkerPool) -> None:
    tickets: list[Ticket] = []

    def later(_item: Any, ticket: Ticket) -> Any:
        tickets.append(ticket)
        return LATER

    held = Held()
    answer = pool.submit(later, "one", items=2)
    busy = pool.submit(held, None)  # on the same thread: the one before has left it
    await asyncio.to_thread(held.started.wait, 60)
    assert pool._quick.admission.away == 2
    waits = pool.submit(later, "two", items=3)
    assert pool.waiting_for(later) == 3 and pool.waiting_for(held) == 0
    tickets[0].answer("done")
    assert await answer == "done" and pool._quick.admission.away == 0
    held.release.set()
    await busy
    await asyncio.wait_for(_until(lambda: len(tickets) == 2), 60)
    assert pool.waiting_for(later) == 0
    tickets[1].fail(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await waits
    assert pool._quick.admission.away == 0


async def _until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.001)
