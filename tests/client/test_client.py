"""Both clients against a real server: same calls, same answers, same errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from hawkvision.client import Answer, AppInfo, AsyncClient, Client, Guess
from hawkvision.errors import (
    AgentUnreachable,
    CorruptImage,
    HawkVisionError,
    InvalidRequest,
    Overloaded,
    TargetUnreachable,
    UnexpectedReply,
    UnknownApp,
    UnknownTask,
)
from hawkvision.images import decode
from hawkvision.power import Energy
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


@pytest.fixture(params=["sync", "async"])
def events(request: pytest.FixtureRequest) -> Call:
    """All events of a stream, from a client of either kind."""

    def blocking(url: str, *args: Any, **options: Any) -> Any:
        with Client(url) as client:
            return list(client.stream_events(*args, **options))

    def awaited(url: str, *args: Any, **options: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(url) as client:
                return [event async for event in client.stream_events(*args, **options)]

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


def test_a_path_may_be_a_text(agent: Agent, call: Call, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"escalate me")
    assert call(agent.url, "classify", str(tmp_path / "photo.jpg")).served_by == "dc"


@pytest.mark.parametrize("form", ["array", "Pillow"])
def test_pixels_are_sent_as_jpeg(agent: Agent, call: Call, form: str) -> None:
    pixels = np.full((16, 24, 3), (200, 40, 90), np.uint8)
    call(agent.url, "classify", pixels if form == "array" else PIL.Image.fromarray(pixels))
    (body,) = agent.bodies
    assert body[:3] == b"\xff\xd8\xff"
    assert np.abs(decode(body).astype(int) - pixels).max() <= 2


def test_another_kind_s_answer_is_an_answer_too(agent: Agent, call: Call) -> None:
    got = call(agent.url, "classify", b"count")
    assert (got.prediction["count"], got.confidence) == (3, 0.5)


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
    with pytest.raises(UnexpectedReply, match="not HawkVision's"):
        call(agent.url, "classify", b"html")


def test_tasks_know_their_class_ids_by_alias(agent: Agent, call: Call) -> None:
    (task,) = call(agent.url, "tasks")
    assert task == call(agent.url, "task", "tiny")
    assert task.class_ids["gray"] == task.class_ids["grey"] == 3


@pytest.mark.parametrize("name", ["unknown", "a b?c#d"])
def test_an_unknown_task_is_said_so(agent: Agent, call: Call, name: str) -> None:
    with pytest.raises(UnknownTask):
        call(agent.url, "task", name)


def test_what_was_delivered_is_typed(agent: Agent, call: Call) -> None:
    report = call(agent.url, "delivered", task="tiny")
    assert report.windows["5m"].targets["0.9"].best.source == "feedback"
    assert report.thresholds["0.9"].state == "steering" and report.app is None
    assert not report.store.available
    app = call(agent.url, "delivered", app="gate").app
    assert (app.app.accuracy, app.threshold) == ("relative:0.02", 0.7)
    with pytest.raises(InvalidRequest):
        call(agent.url, "delivered")


@pytest.mark.parametrize(
    ("truth", "sent"), [("green", {"label": "green"}), (1, {"class_id": 1}), ({"n": 3}, {"n": 3})]
)
def test_feedback_is_sent_with_the_app_s_key(
    agent: Agent, call: Call, truth: Any, sent: dict[str, Any]
) -> None:
    assert call(agent.url, "feedback", "r-1", truth, key="secret") is True
    body = {"request_id": "r-1", **sent}
    assert agent.seen == [("POST", "/v1/feedback", body, "Bearer secret")]


def test_apps_are_stored_listed_and_forgotten(agent: Agent, call: Call) -> None:
    gate = AppInfo("gate", "tiny", "relative:0.02", 80.0)
    assert call(agent.url, "apps") == [gate]
    assert call(agent.url, "app", "gate") == call(agent.url, "put_app", gate, key="k") == gate
    assert call(agent.url, "delete_app", "gate") is None
    assert agent.seen[2:] == [
        (
            "PUT",
            "/v1/apps/gate",
            {"task": "tiny", "accuracy": "relative:0.02", "deadline_ms": 80.0},
            "Bearer k",
        ),
        ("DELETE", "/v1/apps/gate", None, None),
    ]
    with pytest.raises(UnknownApp):
        call(agent.url, "delete_app", "nobody")


def test_names_of_any_kind_stay_one_part_of_the_path(agent: Agent, call: Call) -> None:
    with pytest.raises(UnknownApp):
        call(agent.url, "app", "nobody/../?x#y")
    assert agent.seen[0][1] == "/v1/apps/nobody%2F..%2F%3Fx%23y"


def test_the_fleet_s_agents_are_named(agent: Agent, call: Call) -> None:
    (one,) = call(agent.url, "agents")
    assert (one.agent_id, one.tasks) == ("a1", ("tiny",))


def test_the_machine_s_power_is_told(agent: Agent, call: Call) -> None:
    found = call(agent.url, "power")
    assert found.total == Energy(120.0, 60.0, 0.0, ("board VDD_IN",))
    assert found.celsius == {"cpu-thermal": 48.5}


def test_the_curve_is_asked_for_at_a_link(agent: Agent, call: Call) -> None:
    assert call(agent.url, "curve", "tiny", link_ms=5)["link_ms"] == 5
    assert agent.seen[0][1] == "/v1/tasks/tiny/curve?link_ms=5"


def test_a_stream_is_opened_watched_and_ended(agent: Agent, call: Call) -> None:
    offer = call(agent.url, "open_stream", {"accuracy": "0.9"})
    assert (offer.port, offer.warning) == (5004, "in the clear")
    assert call(agent.url, "stream_status", offer.id).packets.recovered == 4
    assert call(agent.url, "close_stream", offer.id) is None
    with pytest.raises(UnknownApp):
        call(agent.url, "stream_status", "nobody")


def test_events_come_one_by_one_however_they_are_cut(agent: Agent, events: Call) -> None:
    result, failed, advice, end = events(agent.url, "s", after=0)
    assert result.answer.label == "green" and isinstance(failed.answer, CorruptImage)
    assert (advice.code, end.reason) == ("congestion", "goodbye")
    assert agent.seen[0][1] == "/v1/streams/s/results?after=0"
    with pytest.raises(UnknownApp):
        events(agent.url, "nobody")


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
