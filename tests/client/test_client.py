"""Both clients against a real server: same calls, same answers, same errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hawkvision.client import Answer, AsyncClient, Client, Guess
from hawkvision.errors import (
    AgentUnreachable,
    CorruptImage,
    HawkVisionError,
    Overloaded,
    TargetUnreachable,
    UnknownTask,
)
from tests.client.agent import Agent, serving
from tests.processes import free_port

Call = Callable[..., Any]


@pytest.fixture
def agent() -> Iterator[Agent]:
    with serving() as agent:
        yield agent


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls one method of a client of either kind."""

    def blocking(url: str, method: str, *args: Any, **options: Any) -> Any:
        with Client(url) as client:
            return getattr(client, method)(*args, **options)

    def awaited(url: str, method: str, *args: Any, **options: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(url) as client:
                return await getattr(client, method)(*args, **options)

        return asyncio.run(run())

    return blocking if request.param == "sync" else awaited


def test_an_answer_has_the_fields_of_the_contract(agent: Agent, call: Call) -> None:
    got = call(agent.url, "classify", b"image")
    assert isinstance(got, Answer)
    assert (got.label, got.class_id, got.served_by, got.degraded) == ("green", 1, "edge", None)
    assert got.top_k == (Guess("green", 1, 0.75), Guess("red", 0, 0.25))
    assert (got.accuracy.target, got.accuracy.threshold, got.certified) == (0.8, 0.5, True)
    assert got.timing_ms["total"] == 0.4


def test_only_given_parameters_are_sent(agent: Agent, call: Call) -> None:
    call(agent.url, "classify", b"image", accuracy=0.9, deadline_ms=50, task="tiny")
    assert agent.queries == [{"accuracy": "0.9", "deadline_ms": "50", "task": "tiny"}]


def test_an_image_may_be_a_path(agent: Agent, call: Call, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"escalate me")
    assert call(agent.url, "classify", tmp_path / "photo.jpg").served_by == "dc"


def test_many_images_give_answers_and_errors_in_their_places(agent: Agent, call: Call) -> None:
    first, second, third = call(agent.url, "classify_many", [b"a", b"corrupt", b"escalate"])
    assert isinstance(first, Answer) and not first.escalated
    assert isinstance(second, CorruptImage)
    assert isinstance(third, Answer) and third.escalated


@pytest.mark.parametrize("images", [0, 1])
def test_few_images_give_a_list_too(agent: Agent, call: Call, images: int) -> None:
    assert len(call(agent.url, "classify_many", [b"a"] * images)) == images


def test_the_only_image_failing_stands_in_the_list(agent: Agent, call: Call) -> None:
    (got,) = call(agent.url, "classify_many", [b"corrupt"])
    assert isinstance(got, CorruptImage)


def test_a_target_out_of_reach_says_the_highest(agent: Agent, call: Call) -> None:
    with pytest.raises(TargetUnreachable) as caught:
        call(agent.url, "classify", b"a", accuracy=0.99)
    assert caught.value.highest == 0.93
    assert caught.value.hint == "do better"


def test_overload_says_when_to_try_again(agent: Agent, call: Call) -> None:
    agent.overloads = 1
    with pytest.raises(Overloaded) as caught:
        call(agent.url, "classify", b"a")
    assert caught.value.retry_after_s == 3


def test_a_code_without_a_class_is_kept(agent: Agent, call: Call) -> None:
    with pytest.raises(HawkVisionError, match="it is teapot") as caught:
        call(agent.url, "classify", b"odd")
    assert caught.value.code == "teapot"


def test_a_reply_of_something_else_is_an_error_of_ours(agent: Agent, call: Call) -> None:
    with pytest.raises(HawkVisionError, match="not HawkVision's"):
        call(agent.url, "classify", b"html")


def test_tasks_know_their_class_ids_by_alias(agent: Agent, call: Call) -> None:
    (task,) = call(agent.url, "tasks")
    assert task == call(agent.url, "task", "tiny")
    assert task.class_ids["gray"] == task.class_ids["grey"] == 3


@pytest.mark.parametrize("name", ["unknown", "a b?c#d"])
def test_an_unknown_task_is_said_so(agent: Agent, call: Call, name: str) -> None:
    with pytest.raises(UnknownTask):
        call(agent.url, "task", name)


def test_readiness_follows_the_agent(agent: Agent, call: Call) -> None:
    assert call(agent.url, "ready") is True
    agent.ready = False
    assert call(agent.url, "ready") is False


def test_nobody_listening_is_agent_unreachable(call: Call) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert call(url, "ready") is False
    with pytest.raises(AgentUnreachable, match="no agent answers"):
        call(url, "classify", b"a")


def test_a_url_may_lack_its_scheme(agent: Agent, call: Call) -> None:
    assert call(agent.url.removeprefix("http://") + "/", "ready") is True


def test_the_blocking_client_keeps_its_connection(agent: Agent) -> None:
    with Client(agent.url) as client:
        for _ in range(5):
            client.classify(b"a")
    assert len(agent.ports) == 1


async def test_the_asyncio_client_keeps_its_connection(agent: Agent) -> None:
    async with AsyncClient(agent.url) as client:
        for _ in range(5):
            await client.classify(b"a")
    assert len(agent.ports) == 1
