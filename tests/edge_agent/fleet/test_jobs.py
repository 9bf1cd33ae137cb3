"""Work beside the requests goes on whatever fails, says so once, and ends within a bound."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from edge_agent.fleet.jobs import Jobs
from hawkvision.errors import StoreUnavailable


@asynccontextmanager
async def working() -> AsyncIterator[tuple[Jobs, list[str]]]:
    """Jobs, and the names of those that failed."""
    failed: list[str] = []
    jobs = Jobs(failed.append)
    try:
        yield jobs, failed
    finally:
        await jobs.close(30)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_job_goes_on_after_any_exception_and_each_failure_is_counted() -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        raise [ValueError, KeyError, StoreUnavailable][runs % 3]("as scripted")

    async with working() as (jobs, failed):
        jobs.repeat("probes", work, 0.0)
        await until(lambda: runs >= 10)
        assert failed[:9] == ["probes"] * 9


async def test_each_kind_of_error_is_logged_once_with_its_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        raise (ValueError if runs % 2 else StoreUnavailable)(f"reason {runs}")

    async with working() as (jobs, _):
        jobs.repeat("refresh", work, 0.0)
        await until(lambda: runs >= 20)
    said = [(one.levelno, one.getMessage()) for one in caplog.records]
    assert said == [
        (logging.ERROR, "refresh failed and goes on"),
        (logging.WARNING, "refresh: reason 2"),
    ]
    assert caplog.records[0].exc_info is not None


async def test_an_error_that_comes_back_after_success_is_logged_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs != 3:
            raise StoreUnavailable("away")

    async with working() as (jobs, _):
        jobs.repeat("refresh", work, 0.0)
        await until(lambda: runs >= 6)
    assert [one.getMessage() for one in caplog.records] == ["refresh: away"] * 2


async def test_a_job_that_should_not_end_is_begun_again() -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    async with working() as (jobs, failed):
        jobs.keep("delivery", work)
        await until(lambda: runs >= 2)
    assert failed == []


async def test_what_runs_once_and_fails_is_counted_too() -> None:
    async def work() -> None:
        raise ValueError

    async with working() as (jobs, failed):
        jobs.start("audit", work)
        await until(lambda: failed == ["audit"])


async def test_a_woken_job_runs_at_once() -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    async with working() as (jobs, _):
        wake = asyncio.Event()
        jobs.repeat("refresh", work, 1e6, wake)
        await until(lambda: runs == 1)
        wake.set()
        await until(lambda: runs == 2)


async def test_closing_leaves_a_job_behind_that_swallows_its_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = asyncio.Event()
    ended = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        ended.set()
        raise asyncio.CancelledError

    jobs = Jobs(lambda _: None)
    jobs.repeat("stubborn", stubborn, 1.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.wait_for(jobs.close(0.05), 60)
    assert caplog.messages == ["did not end within 0.05 s: stubborn"]
    let_go.set()
    await ended.wait()
