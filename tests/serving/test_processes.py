"""A pool of processes: asked, ended, hung, replaced, closed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hawkvision.engines.worker.process import WorkerCommand, WorkerEnded
from hawkvision.errors import DeadlineExceeded, EngineError, UpstreamUnavailable
from hawkvision.serving import processes
from hawkvision.serving.processes import HUNG, OUT_OF_MEMORY, ProcessPool
from hawkvision.serving.restarts import Restarts

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from hawkvision.engines.worker.frames import read_frame, write_frame
from hawkvision.engines.worker.pipes import take_pipes
requests, replies = take_pipes()
if {fails}:
    write_frame(replies, {{"error": "cannot load", "hint": "Try another."}})
    sys.exit(1)
write_frame(replies, {{"ready": "well"}})
while (frame := read_frame(requests)) is not None:
    head, body = frame
    what = head.get("do")
    if what == "end":
        sys.exit(3)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if what == "fail":
        write_frame(replies, {{"error": "no such thing"}})
        continue
    write_frame(replies, {{"pid": os.getpid()}}, body[::-1])
"""


def made(tmp_path: Path, count: int, *, fails: bool = False) -> ProcessPool:
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(root=str(ROOT), fails=fails))
    command = WorkerCommand("w", (sys.executable, str(script)), "", "", "it says nothing")
    return ProcessPool(command, count, restarts=lambda: Restarts((0.0,)))


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ProcessPool]:
    found = made(tmp_path, 1)
    try:
        assert found.start() == {"ready": "well"}
        yield found
    finally:
        found.close()


def ask(pool: ProcessPool, what: str = "", left_s: float = 60, grace_s: float = 60) -> Any:
    return pool.ask({"do": what}, b"ab", until=time.monotonic() + left_s, grace_s=grace_s)


def test_each_process_answers_one_after_the_other(pool: ProcessPool) -> None:
    assert [ask(pool)[1] for _ in range(3)] == [b"ba"] * 3
    assert pool.ready == 1 and ask(pool)[0]["pid"] == pool.pids[0]


@pytest.mark.parametrize(
    ("what", "cause"), [("end", "status 3"), ("kill", "signal 9 (SIGKILL)")], ids=["exit", "kill"]
)
def test_one_that_ends_at_work_is_replaced_and_its_cause_is_told(
    pool: ProcessPool, what: str, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = pool.pids
    with pytest.raises(WorkerEnded):
        ask(pool, what)
    assert ask(pool)[0]["pid"] not in before
    assert pool.ends == {cause: 1}
    assert f"worker process 0 ended, {cause}; again in 0 s" in caplog.text


def test_one_that_ends_while_idle_is_replaced_before_anybody_asks(pool: ProcessPool) -> None:
    [before] = pool.pids
    os.kill(before, signal.SIGKILL)
    until = time.monotonic() + 60
    while pool.pids in ([], [before]) and time.monotonic() < until:
        time.sleep(0.005)
    assert ask(pool)[0]["pid"] != before


def test_one_that_hangs_is_killed_after_its_time(pool: ProcessPool) -> None:
    with pytest.raises(WorkerEnded, match="it says nothing"):
        ask(pool, "stop", left_s=0, grace_s=0.2)
    assert ask(pool)[1] == b"ba"
    assert pool.ends == {HUNG: 1}


def test_one_that_stops_reading_is_killed_too(pool: ProcessPool) -> None:
    os.kill(pool.pids[0], signal.SIGSTOP)
    with pytest.raises(WorkerEnded, match="it says nothing"):
        pool.ask({}, bytes(1 << 20), until=time.monotonic(), grace_s=0.2)
    assert ask(pool)[1] == b"ba"


def test_want_of_memory_is_told_from_a_mere_kill(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "oom_kills", lambda: 10**9)
    with pytest.raises(WorkerEnded):
        ask(pool, "kill")
    ask(pool)
    assert pool.ends == {OUT_OF_MEMORY: 1}


def test_an_error_of_its_own_ends_nothing(pool: ProcessPool) -> None:
    before = pool.pids
    with pytest.raises(EngineError, match="w: no such thing"):
        ask(pool, "fail")
    assert pool.pids == before and pool.ends == {}


def test_who_finds_none_free_in_time_is_told_why(pool: ProcessPool) -> None:
    os.kill(pool.pids[0], signal.SIGSTOP)

    def hold() -> None:
        with pytest.raises(WorkerEnded):
            ask(pool)

    held = threading.Thread(target=hold)
    held.start()
    until = time.monotonic() + 60
    while pool._places[0].state != "busy" and time.monotonic() < until:
        time.sleep(0.001)
    with pytest.raises(DeadlineExceeded, match="no worker process was free"):
        ask(pool, left_s=0.01)
    pool.close()
    held.join(60)
    with pytest.raises(UpstreamUnavailable):
        ask(pool)


def test_what_cannot_start_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    pool = made(tmp_path, 2, fails=True)
    with pytest.raises(EngineError, match="w: cannot load") as caught:
        pool.start()
    assert caught.value.hint == "Try another." and pool.ready == 0


def test_closing_ends_what_hangs(tmp_path: Path) -> None:
    pool = made(tmp_path, 2)
    pool.start()
    found = [worker.worker.process for worker in pool._places if worker.worker is not None]
    os.kill(pool.pids[0], signal.SIGSTOP)
    pool.close()
    assert [process is None or process.returncode for process in found] == [-9, -9]
