"""Both clients against a real agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hawkvision.client import AsyncClient, Client
from hawkvision.errors import AgentUnreachable, CorruptImage, TargetUnreachable, UnknownTask
from tests.models import LABELS, build_tiny_repository, coloured_jpeg
from tests.processes import Service, edge, free_port


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    repository = build_tiny_repository(tmp_path_factory.mktemp("repository"))
    with edge(repository, f"127.0.0.1:{free_port()}") as service:
        yield service


@pytest.fixture
def client(agent: Service) -> Iterator[Client]:
    with Client(f"http://{agent.address}") as client:
        yield client


def test_an_image_as_bytes_or_path(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "red.jpg"
    path.write_bytes(coloured_jpeg("red"))
    answers = [client.classify(image, accuracy=0.5) for image in (path, path.read_bytes())]
    assert [answer.label for answer in answers] == ["red", "red"]
    assert answers[0].request_id != answers[1].request_id


def test_many_images_keep_their_order_and_errors(client: Client) -> None:
    images = [coloured_jpeg(label) for label in LABELS]
    images.insert(2, b"\xff\xd8\xff broken")
    results = client.classify_many(images, accuracy=0.5)
    assert isinstance(results.pop(2), CorruptImage)
    assert [getattr(result, "label", None) for result in results] == list(LABELS)


def test_errors_come_back_as_they_were_raised(client: Client) -> None:
    with pytest.raises(TargetUnreachable) as caught:
        client.classify(coloured_jpeg("red"), accuracy=0.9999)
    assert 0.9 < caught.value.highest < 1
    with pytest.raises(UnknownTask):
        client.classify(coloured_jpeg("red"), task="nope")


def test_a_task_describes_itself(client: Client) -> None:
    task = client.task("tiny")
    assert task == client.tasks()[0]
    assert task.class_ids["gray"] == task.labels.index("grey")


def test_no_agent_is_a_clear_error() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as client:
        assert not client.ready()
        with pytest.raises(AgentUnreachable, match="no agent answers"):
            client.classify(b"x")


async def test_the_async_client_does_the_same(agent: Service) -> None:
    async with AsyncClient(f"http://{agent.address}") as client:
        assert await client.ready()
        answer = await client.classify(coloured_jpeg("blue"), accuracy=0.5, top_k=2)
        assert (answer.label, len(answer.top_k)) == ("blue", 2)
        many = await client.classify_many([coloured_jpeg("red"), b"no"], accuracy=0.5)
        assert [type(item).__name__ for item in many] == ["Answer", "UnsupportedImage"]
        assert (await client.task("tiny")).name == "tiny"


async def test_the_async_client_says_that_nobody_answers() -> None:
    async with AsyncClient(f"http://127.0.0.1:{free_port()}") as client:
        assert not await client.ready()
        with pytest.raises(AgentUnreachable):
            await client.tasks()
