"""Quick work that the event loop does itself: a little in each round, and never a large one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hawkvision.errors import DeadlineExceeded, Overloaded
from hawkvision.serving.job import Ticket
from hawkvision.serving.pace import Pace
from hawkvision.serving.pool import LOOP_PIXELS, WorkerPool


def quick() -> Pace:
    pace = Pace(60.0)  # however slow this machine is
    pace.learn(0.0, light=True)
    return pace


def where(_item: Any, _ticket: Ticket) -> str:
    return threading.current_thread().name


def weighing(pixels: int) -> Any:
    def work(_item: Any, ticket: Ticket) -> str:
        ticket.weigh(pixels)
        return threading.current_thread().name

    return work


HERE = threading.main_thread().name


@asynccontextmanager
async def opened(threads: int = 1, max_queue: int = 100) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(threads, max_queue, asyncio.get_running_loop())
    yield pool
    pool.close()


async def test_what_is_not_known_to_be_quick_goes_to_a_thread() -> None:
    async with opened() as pool:
        assert await pool.submit(where, None, pace=Pace()) == "infer-0"
        assert await pool.submit(where, None) == "infer-0"


async def test_a_thread_learns_that_work_is_quick() -> None:
    async with opened() as pool:
        pace = Pace(60.0)
        await pool.submit(where, None, pace=pace)
        assert await pool.submit(where, None, pace=pace) == HERE
        assert pool.pending == 0


async def test_faults_teach_nothing() -> None:
    async with opened() as pool:
        pace = Pace(60.0)
        with pytest.raises(ZeroDivisionError):
            await pool.submit(lambda _item, _ticket: 1 / 0, None, pace=pace)
        assert not pace.quick


@pytest.mark.parametrize(("round_s", "between"), [(0.0, True), (60.0, False)])
async def test_others_have_their_turn_after_each_round(
    monkeypatch: pytest.MonkeyPatch, round_s: float, between: bool
) -> None:
    monkeypatch.setattr("hawkvision.serving.pool.ROUND_S", round_s)
    async with opened() as pool:
        order: list[str] = []
        jobs = [
            pool.submit(lambda item, _: order.append(item), str(index), pace=quick())
            for index in range(3)
        ]

        async def others() -> None:
            for _ in range(3):
                order.append("other")
                await asyncio.sleep(0)

        await asyncio.gather(others(), *jobs)
        assert [one for one in order if one != "other"] == ["0", "1", "2"]
        assert ("other" in order[order.index("0") : order.index("2")]) is between


async def test_a_large_image_is_begun_again_on_a_thread() -> None:
    async with opened() as pool:
        pace = quick()
        assert await pool.submit(weighing(LOOP_PIXELS), None, pace=pace) == HERE
        assert await pool.submit(weighing(LOOP_PIXELS + 1), None, pace=pace) == "infer-0"
        assert await pool.submit(weighing(10**8), None, pace=pace) == "large-0"
        assert pool.pending == 0


async def test_beside_a_large_job_the_loop_does_none() -> None:
    async with opened() as pool:
        started, release = threading.Event(), threading.Event()

        def large(_item: Any, ticket: Ticket) -> None:
            ticket.weigh(10**8)
            started.set()
            release.wait(60)

        busy = pool.submit(large, None)
        await asyncio.to_thread(started.wait, 60)
        assert await pool.submit(where, None, pace=quick()) == "infer-0"
        release.set()
        await busy


async def test_kept_jobs_go_to_threads_when_a_large_one_comes() -> None:
    async with opened() as pool:
        release = threading.Event()

        def large(_item: Any, ticket: Ticket) -> None:
            ticket.weigh(10**8)
            release.wait(60)

        busy = pool.submit(large, None)
        kept = pool.submit(where, None, pace=quick())
        while not pool._large.admission.pending:  # the loop does not run
            time.sleep(0.001)
        assert await kept == "infer-0"
        release.set()
        await busy


async def test_other_threads_take_what_the_loop_leaves() -> None:
    async with opened(threads=2) as pool:
        together = threading.Barrier(2, timeout=60)

        def meet(_item: Any, _ticket: Ticket) -> str:
            together.wait()
            return threading.current_thread().name

        pace = Pace(60.0, alone_s=0.0)
        pace.learn(0.0, light=True)
        found = await asyncio.gather(*(pool.submit(meet, None, pace=pace) for _ in range(8)))
        assert found.count(HERE) == 4 and pool.pending == 0


async def test_nobody_helps_with_the_lightest() -> None:
    async with opened(threads=2) as pool:
        pace = quick()
        await pool.submit(where, None, pace=pace)
        assert pace.alone
        found = await asyncio.gather(*(pool.submit(where, None, pace=pace) for _ in range(8)))
        assert found == [HERE] * 8


async def test_many_quick_jobs_of_many_threads_all_come_back() -> None:
    async with opened(threads=4, max_queue=2000) as pool:
        pace = quick()
        jobs = [pool.submit(lambda item, _: item, index, pace=pace) for index in range(2000)]
        assert await asyncio.gather(*jobs) == list(range(2000))
        assert pool.pending == pool.waiting == 0


async def test_the_room_is_bounded_and_dead_jobs_make_room() -> None:
    async with opened(max_queue=2) as pool:
        pace = quick()
        jobs = [pool.submit(where, None, pace=pace) for _ in range(3)]
        with pytest.raises(Overloaded):
            pool.submit(where, None, pace=pace)
        jobs[1].cancel()
        jobs[1] = pool.submit(where, None, pace=pace)
        assert await asyncio.gather(*jobs) == [HERE] * 3
        assert pool.pending == 0


async def test_a_job_past_its_deadline_is_never_run() -> None:
    now = [100.0]
    pool = WorkerPool(1, 9, asyncio.get_running_loop(), lambda: now[0])
    first = pool.submit(where, None, pace=quick())  # it found the thread idle
    late = pool.submit(where, None, pace=quick(), deadline=101.0)
    now[0] = 102.0
    assert await first == HERE
    with pytest.raises(DeadlineExceeded):
        await late
    pool.close()
