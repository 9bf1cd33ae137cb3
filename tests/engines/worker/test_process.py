"""A worker process from its engine's side: started, asked, silent, gone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hawkvision.engines.worker.process import WorkerCommand, WorkerProcess
from hawkvision.errors import EngineError

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import sys, time
sys.path.insert(0, {root!r})
from hawkvision.engines.worker.frames import read_frame, write_frame
from hawkvision.engines.worker.pipes import take_pipes
requests, replies = take_pipes()
print("a library's greeting")
for step in range(2):
    write_frame(replies, {{"progress": "step %d" % step}})
write_frame(replies, {{"ready": True}})
while True:
    frame = read_frame(requests)
    if frame is None:
        break
    head, body = frame
    if head.get("do") == "sleep":
        time.sleep(60)
    if head.get("do") == "end":
        sys.exit(3)
    if head.get("do") == "fail":
        write_frame(replies, {{"error": "no such thing", "hint": "Try another."}})
        continue
    write_frame(replies, {{"got": len(body)}}, body[::-1])
"""


@pytest.fixture
def worker(tmp_path: Path) -> WorkerProcess:
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(root=str(ROOT)))
    command = WorkerCommand("w", (sys.executable, str(script)), "Name one.", "It needs a script.")
    return WorkerProcess(command)


def test_it_says_how_far_it_is_and_then_answers(worker: WorkerProcess) -> None:
    said: list[str] = []
    assert worker.start(60, said.append) == ({"ready": True}, b"")
    assert said == ["step 0", "step 1"]
    big = bytes(range(256)) * 20_000
    assert worker.ask({}, big, 60) == ({"got": len(big)}, big[::-1])
    worker.stop()
    assert not worker.running


def test_its_error_keeps_the_hint_and_it_goes_on(worker: WorkerProcess) -> None:
    worker.start(60)
    with pytest.raises(EngineError, match="w: no such thing") as caught:
        worker.ask({"do": "fail"}, b"", 60)
    assert caught.value.hint == "Try another."
    assert worker.ask({}, b"ab", 60)[1] == b"ba"
    worker.stop()


def test_one_that_ends_or_is_silent_can_be_started_again(worker: WorkerProcess) -> None:
    worker.start(60)
    with pytest.raises(EngineError, match=r"w: the worker ended \(3\)") as caught:
        worker.ask({"do": "end"}, b"", 60)
    assert caught.value.hint == "It needs a script." and not worker.running
    worker.start(60)
    with pytest.raises(EngineError, match="w: the worker does not answer"):
        worker.ask({"do": "sleep"}, b"", 0.1)
    assert not worker.running
    worker.start(60)
    assert worker.ask({}, b"ab", 60)[1] == b"ba"
    worker.stop()


def test_an_interpreter_that_is_not_there_is_named() -> None:
    worker = WorkerProcess(WorkerCommand("w", ("/nowhere/python3",), "Name one.", ""))
    with pytest.raises(EngineError, match="w: no /nowhere/python3"):
        worker.start(1)
