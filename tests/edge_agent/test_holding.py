"""How many rungs an agent holds: what is asked, what fits, and what the link makes of it."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import pytest

from edge_agent.config import EdgeConfig
from edge_agent.holding import rungs_held
from edge_agent.link import round_trip_ms
from edge_agent.loading import load_tasks
from hawkvision.errors import RepositoryError
from hawkvision.repository import Repository, Task
from loadtest.link.model import LinkSettings
from loadtest.link.relay import TcpRelay
from tests.edge_agent.agents import gateway_of
from tests.models import SIDE, build_chain
from tests.processes import free_port

RUNGS = {"edge": 5, "medium": 12, "dc": SIDE}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_chain(tmp_path_factory.mktemp("chain"), RUNGS, (0.9,))


@pytest.fixture(scope="module")
def task(repository: Path) -> Task:
    return Repository(repository).open("tiny")


def held(task: Task, **settings: object) -> int:
    return rungs_held(EdgeConfig(**settings), {"tiny": task})["tiny"]  # type: ignore[arg-type]


def test_one_rung_unless_more_are_asked_for(task: Task) -> None:
    assert held(task) == 1
    assert [held(task, rungs=count) for count in (1, 2, 3, 9)] == [1, 2, 3, 3]


@pytest.mark.parametrize(("memory", "count"), [(4, 1), (16.9, 1), (17, 2), (48, 2), (49, 3)])
def test_as_many_as_fit_into_the_memory(task: Task, memory: float, count: int) -> None:
    assert held(task, memory_mb=memory) == count


def test_what_does_not_fit_is_said(task: Task, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert held(task, rungs=3, memory_mb=20) == 2
    assert "of 3 rungs 2 fit" in caplog.text


def test_further_rungs_get_what_all_first_ones_leave(task: Task) -> None:
    config = EdgeConfig(memory_mb=5 + 5 + 12)
    assert rungs_held(config, {"one": task, "two": task}) == {"one": 2, "two": 1}


def test_a_rung_that_is_not_here_is_not_held(task: Task, tmp_path: Path) -> None:
    other = build_chain(tmp_path, RUNGS, (0.9,))
    (other / "tiny" / "1" / "medium.onnx").unlink()
    assert held(Repository(other).open("tiny"), memory_mb=1000.0) == 1
    with pytest.raises(RepositoryError, match=r"medium\.onnx is missing"):
        load_tasks(EdgeConfig(model_repository=other, rungs=2))


def test_a_link_that_nobody_answers_at_is_no_link() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (silent.getsockname()[1], free_port()):
            assert round_trip_ms(f"127.0.0.1:{port}", patience_s=0.2) is None
    assert round_trip_ms("unix:/nowhere", patience_s=0.2) is None


async def test_auto_holds_more_the_farther_the_gateway_is(
    repository: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rungs take 5, 12 and 32 ms, here ten times as long as there."""
    monkeypatch.setattr("edge_agent.holding._first_ms", lambda *_: 50.0)
    async with gateway_of(repository) as gateway:
        near = await asyncio.to_thread(round_trip_ms, gateway)
        assert near is not None
        host, _, port = gateway.rpartition(":")
        link = LinkSettings(delay_s=0.3)
        with TcpRelay((host, int(port)), link) as relay:
            far = await asyncio.to_thread(round_trip_ms, f"127.0.0.1:{relay.port}")
            assert far is not None and far >= 600
            settings = {"rungs": "auto", "deadline_ms": 5000.0}
            at_once = await asyncio.to_thread(held, task, gateways=(gateway,), **settings)
            later = await asyncio.to_thread(
                held, task, gateways=(f"127.0.0.1:{relay.port}",), **settings
            )
    assert at_once == 1
    assert later > 1


def test_auto_times_the_first_rung_here(
    task: Task, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.holding.round_trip_ms", lambda _gateway, tls: None)
    with caplog.at_level(logging.INFO):
        assert held(task, rungs="auto", deadline_ms=1e5) == 3
    assert "3 of 3 rungs are held here (no gateway answers" in caplog.text
