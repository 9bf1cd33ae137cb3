"""The client of `bench plan`: every request that is due has its row, whatever becomes of it."""

from __future__ import annotations

import io
import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtest.bench.plan import client

_ANSWER = json.dumps({"label": "cat", "served_by": "dc"}).encode()


class _Agent(socketserver.StreamRequestHandler):
    """Answers all; or as many as it is told, and then says nothing more or hangs up."""

    answers = 10**9
    hangs_up = False
    count = 0

    def handle(self) -> None:
        while line := self.rfile.readline():
            headers = dict(
                row.split(b": ") for row in iter(lambda: self.rfile.readline().strip(), b"")
            )
            self.rfile.read(int(headers[b"Content-Length"]))
            type(self).count += 1
            if self.count > self.answers:
                if self.hangs_up:
                    return
                continue
            status = b"200 OK" if b"deadline_ms=500" in line else b"400 No"
            self.wfile.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(_ANSWER)))
            self.wfile.write(_ANSWER)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


@pytest.fixture
def agent() -> Iterator[type[_Agent]]:
    class Mine(_Agent):
        pass

    with _Server(("127.0.0.1", 0), Mine) as server:
        Mine.port = server.server_address[1]  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Mine
        server.shutdown()


def _run(
    agent: type[_Agent], folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> dict[str, list[Any]]:
    (folder / "a.jpg").write_bytes(b"a" * 3000)
    (folder / "b.jpg").write_bytes(b"b" * 2000)
    (folder / "labels.json").write_text(json.dumps([["a.jpg", "cat"], ["b.jpg", "dog"]]))
    plan = {
        "host": "127.0.0.1",
        "port": agent.port,  # type: ignore[attr-defined]
        "path": "/v1/classify?task=x",
        "images": str(folder),
        "connections": 64,
        "rate": 200.0,
        "seconds": 0.5,
        "deadline_ms": 500.0,
        "targets": [[0.8, 1], [0.9, 3]],
        "seed": 3,
    }
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(plan | changes)))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(client, "_PATIENCE_S", 0.3)
    client.main()
    found: dict[str, list[Any]] = json.loads(out.getvalue())
    return found


def test_all_that_is_due_is_asked_and_told(
    agent: type[_Agent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _run(agent, tmp_path, monkeypatch)
    count = len(found["due_s"])
    assert {len(column) for column in found.values()} == {count} and 60 < count < 150
    assert found["due_s"] == sorted(found["due_s"]) and found["due_s"][-1] < 0.5
    assert set(found["status"]) == {200} and set(found["by"]) == {"dc"}
    assert sum(found["right"]) == pytest.approx(count / 2, abs=1)
    assert set(found["target"]) == {0.8, 0.9}
    assert min(found["ms"]) > 0 and min(found["late_ms"]) >= -0.1 and min(found["read_ms"]) >= 0


@pytest.mark.parametrize("hangs_up", [True, False])
def test_what_has_no_answer_has_a_row_too(
    agent: type[_Agent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs_up: bool
) -> None:
    agent.answers, agent.hangs_up = 20, hangs_up
    found = _run(agent, tmp_path, monkeypatch, connections=8)
    assert found["status"].count(200) == 10  # the others warmed up
    unanswered = [ms for ms, status in zip(found["ms"], found["status"], strict=True) if status < 1]
    assert len(unanswered) == len(found["ms"]) - 10 and set(unanswered) == {-1.0}
    if not hangs_up:  # every connection waits, and no more may be opened
        assert found["status"].count(0) == 8


def test_who_only_refuses_ends_it(
    agent: type[_Agent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="nobody answers: status 400"):
        _run(agent, tmp_path, monkeypatch, deadline_ms=1.0)
