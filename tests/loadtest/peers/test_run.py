"""Servers beside ours: measured where they answer right, else told, and none is left behind."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from hawkvision.errors import HawkVisionError
from loadtest.bench.peers import OURS, PeersBench, run_peers
from loadtest.bench.server import _bare, _load, bench_image, local_path
from loadtest.bench.server_command import show_peers
from loadtest.peers import installed, triton
from loadtest.peers.installed import TRITON, Peer, default_python
from loadtest.peers.process import Family, ServerProcess
from loadtest.peers.work import Work

TASK = "roadsigns"


def alive(process: psutil.Process) -> bool:
    """A dead one that nobody has waited for is not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run(python: Path, folder: Path, task: str = TASK) -> dict[str, Any]:
    image = folder / "image.jpg"
    image.write_bytes(bench_image(task))
    options = ["--port", "0", "--gateway", "127.0.0.1:1", "--task", task]
    bench = PeersBench(python, task, image.read_bytes(), local_path(task), options, 1, 0.2, folder)

    def load(to: Sequence[str], seconds: float, more: Sequence[str] = ()) -> dict[str, Any]:
        return _load(to, seconds, more)

    return run_peers(bench, load, lambda seconds: _bare(task, image, seconds), lambda _: None)


@pytest.mark.timeout(600)
def test_strangers_are_measured_or_told_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    label = Work(TASK).answer(bench_image(TASK))["label"]
    module = "tests.loadtest.peers.stranger"
    strangers = (
        Peer("right", "numpy", module, "/", (str(label),)),
        Peer("wrong", "numpy", module, "/", ("something else",)),
        Peer("ends", "numpy", "tests.loadtest.peers.nowhere", "/"),
        Peer("missing", "no-such-distribution", module, "/"),
    )
    monkeypatch.setattr("loadtest.bench.peers.PEERS", strangers)
    monkeypatch.setattr(installed, "PEERS", strangers)
    monkeypatch.setattr("loadtest.peers.process._STOP_S", 0.2)
    monkeypatch.setattr("loadtest.bench.peers.CONNECTIONS", (1, 2))
    monkeypatch.setattr("loadtest.bench.peers._SETTLE_S", 0.1)
    monkeypatch.setattr("loadtest.bench.peers._WARM_UP_S", 0.1)
    found = run(Path(sys.executable), tmp_path)
    names = {row["name"] for row in found["rows"]}
    assert names == {*OURS, "right"}
    assert [row["connections"] for row in found["rows"]] == 3 * [1, 2]
    for row in found["rows"]:
        assert row["cpu_ms"] > 0 and row["rate"] > 0 and row["rss_mb"] > 0
        assert row["p50_ms"] <= row["p99_ms"]
    why = {one["name"]: one["why"] for one in found["absent"]}
    assert "do not name the label" in why["wrong"]
    assert "No module named" in why["ends"]
    assert "scripts/setup peers" in why["missing"] and TRITON in why
    show_peers(found)
    said = capsys.readouterr().out
    assert "missing not measured: " in said and "scripts/setup peers" in said
    assert all(len(line) <= 80 for line in said.splitlines() if "not measured" not in line)
    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if module in line]


def test_a_server_and_its_children_are_counted_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.peers.process._STOP_S", 0.2)
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"
    child = "print('up', flush=True)\nwhile True: pass"
    server = ServerProcess([sys.executable, "-c", code, child], tmp_path / "log", {})
    while "up" not in server.last_words():
        assert server.running
    members = server.family.members()
    assert len(members) == 2 and server.family.memory_mb() > 1
    server.family.mark()
    while server.family.cpu_s() < 0.1:
        pass
    server.stop()
    assert not any(alive(one) for one in members)
    assert server.family.members() == [] and server.family.cpu_s() == 0


def test_a_family_that_is_gone_uses_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        family = Family(process.pid)
    assert family.memory_mb() == 0


def test_the_request_for_triton_is_the_protocol_s_binary_extension() -> None:
    body, header = triton.request(b"an image")
    name, _, length = header.partition(": ")
    assert name == "Inference-Header-Content-Length"
    head, rest = json.loads(body[: int(length)]), body[int(length) :]
    assert head["inputs"][0]["parameters"]["binary_data_size"] == len(rest)
    assert struct.unpack("<I", rest[:4])[0] == len(rest) - 4 and rest[4:] == b"an image"


@pytest.mark.timeout(600)
@pytest.mark.skipif(not default_python().exists(), reason="needs scripts/setup peers")
def test_all_peers_answer_as_the_bare_loop(tmp_path: Path) -> None:
    found = run(default_python(), tmp_path)
    assert found["absent"] == []
    assert len(found["rows"]) == 3 * (len(OURS) + len(installed.PEERS) + 1)


def test_ours_failing_is_no_line_but_an_error(tmp_path: Path) -> None:
    with pytest.raises(HawkVisionError):
        run(tmp_path / "no-python", tmp_path, task="no-such-task")
