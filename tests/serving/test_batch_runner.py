"""Batches on threads: who enters runs what is due, waits are ended, faults reach every call."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from hawkvision.errors import EngineError
from hawkvision.serving.batch_runner import BatchRunner, Line, Prepared
from hawkvision.serving.waiting import Limits, Waiting

LIMITS = Limits(8, 1000, 10**6)


def call(images: Sequence[Any]) -> tuple[Future[list[Any]], Waiting[Prepared]]:
    future: Future[list[Any]] = Future()
    work = Prepared(images, future.set_result, future.set_exception)
    return future, Waiting(work, len(images), len(images))


def tens(images: Sequence[Any]) -> list[Any]:
    return [10 * image for image in images]


@pytest.fixture
def runner() -> Iterator[BatchRunner]:
    made = BatchRunner(1)
    yield made
    made.close()


def test_who_finds_a_slot_runs_in_its_own_thread(runner: BatchRunner) -> None:
    threads = []

    def run(images: Sequence[Any]) -> list[Any]:
        threads.append(threading.current_thread())
        return tens(images)

    line = runner.line("one", run, LIMITS)
    future, waiting = call([1, 2])
    runner.enter(line, waiting)
    assert future.done() and future.result() == [10, 20]
    assert threads == [threading.current_thread()]
    assert line.sizes == {2: 1} and runner.waiting == 0


def test_what_comes_while_a_batch_runs_is_the_next_batch_and_each_gets_its_own(
    runner: BatchRunner,
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def run(images: Sequence[Any]) -> list[Any]:
        began.set()
        go_on.wait(60)
        return tens(images)

    line = runner.line("one", run, LIMITS)
    calls = [call(list(range(count))) for count in (1, 2, 3, 1)]
    first = threading.Thread(target=runner.enter, args=(line, calls[0][1]))
    first.start()
    began.wait(60)
    for _, waiting in calls[1:]:
        runner.enter(line, waiting)
    assert runner.waiting == 6 and not any(future.done() for future, _ in calls)
    go_on.set()
    assert [future.result(60) for future, _ in calls] == [
        tens(range(count)) for count in (1, 2, 3, 1)
    ]
    first.join(60)
    assert line.sizes == {1: 1, 6: 1}


def test_more_images_than_a_batch_holds_run_in_parts(runner: BatchRunner) -> None:
    parts: list[int] = []

    def run(images: Sequence[Any]) -> list[Any]:
        parts.append(len(images))
        return tens(images)

    future, waiting = call(list(range(20)))
    runner.enter(runner.line("one", run, LIMITS), waiting)
    assert future.result(60) == tens(range(20)) and parts == [8, 8, 4]


def test_a_fault_reaches_every_call_of_its_batch_and_the_next_batch_runs(
    runner: BatchRunner,
) -> None:
    def run(images: Sequence[Any]) -> list[Any]:
        if "bad" in images:
            raise EngineError("no", hint="look")
        return list(images)

    line = runner.line("one", run, LIMITS)
    futures = [call([name]) for name in ("bad", "with it")]
    for _, waiting in futures:
        line.batcher.offer(waiting, time.monotonic())
    good, waiting = call(["good"])
    runner._work()
    runner.enter(line, waiting)
    faults = [future.exception(60) for future, _ in futures]
    assert [str(fault) for fault in faults] == ["no", "no"] and faults[0] is not faults[1]
    assert good.result(60) == ["good"] and not line.batcher._running


def test_a_wait_for_company_ends_by_itself(runner: BatchRunner) -> None:
    line = runner.line("one", tens, LIMITS, coming=lambda: 1000)
    line.batcher.cost.setup_s = 0.02
    future, waiting = call([1])
    runner.enter(line, waiting)
    assert runner._watcher is not None  # it did not run at once
    assert future.result(60) == [10]


def test_company_ends_a_wait_when_the_batch_is_full(runner: BatchRunner) -> None:
    line = runner.line("one", tens, LIMITS, coming=lambda: 1000)
    line.batcher.cost.setup_s = 600.0
    calls = [call([number]) for number in range(8)]
    for _, waiting in calls:
        runner.enter(line, waiting)
    assert [future.result(60) for future, _ in calls] == [[10 * n] for n in range(8)]
    assert line.sizes == {8: 1}


def test_many_threads_and_networks_lose_nothing() -> None:
    runner = BatchRunner(2)
    lines: list[Line] = [runner.line(name, tens, LIMITS) for name in ("one", "two", "three")]

    def enter(number: int) -> list[Any]:
        future, waiting = call([number] * (1 + number % 3))
        runner.enter(lines[number % 3], waiting)
        return future.result(60)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(enter, range(3000)))
    assert found == [[10 * number] * (1 + number % 3) for number in range(3000)]
    assert runner.waiting == 0 and runner._running == 0
    runner.close()
