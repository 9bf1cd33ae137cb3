"""Everything that an agent can be asked, each operation once. Knows no sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import orjson
from urllib3 import encode_multipart_formdata

from hawkvision.client.images import Image, encoded
from hawkvision.client.requests import Operation, Reply, bearer, json_headers, path_of
from hawkvision.contract.agents import AgentStatus, parse_agents
from hawkvision.contract.answer import Answer
from hawkvision.contract.apps import AppInfo, parse_apps
from hawkvision.contract.delivered import Report
from hawkvision.contract.errors import ABOUT_ONE_IMAGE
from hawkvision.contract.feedback import Feedback, FeedbackTaken
from hawkvision.contract.fields import Json
from hawkvision.contract.power import PowerStatus
from hawkvision.contract.results import Result, parse_results
from hawkvision.contract.stream import StreamStatus, parse_offer
from hawkvision.contract.task import TaskInfo, parse_tasks
from hawkvision.errors import InvalidRequest
from hawkvision.lossy.offer import StreamOffer

_OCTETS = "application/octet-stream"


class Asked(TypedDict, total=False):
    """What a request may ask for; what is absent or None is the agent's to choose.

    `accuracy` is the share of answers that must be right, or a text such as `relative:0.02`;
    `deadline_ms` runs from the arrival of the request; `top_k` is the number of guesses.
    """

    accuracy: float | str | None
    deadline_ms: float | None
    top_k: int | None
    task: str | None
    app: str | None


def classify(image: Image, **asked: Unpack[Asked]) -> Operation[Answer]:
    """The answer for one image."""
    return Operation(
        "POST",
        path_of("v1", "classify", **asked),
        lambda reply: Answer.parse(reply.json()),
        encoded(image),
        {"Content-Type": _OCTETS},
    )


def classify_many(images: Sequence[Image], **asked: Unpack[Asked]) -> Operation[list[Result]]:
    """The answers for at least one image in one request, an error in place of a failed one."""
    path = path_of("v1", "classify", **asked)
    if len(images) == 1:
        return Operation("POST", path, _only_result, encoded(images[0]), {"Content-Type": _OCTETS})
    body, content_type = encode_multipart_formdata(
        [
            ("image", (f"image-{index}", encoded(image), _OCTETS))
            for index, image in enumerate(images)
        ]
    )
    return Operation(
        "POST",
        path,
        lambda reply: parse_results(reply.json()),
        body,
        {"Content-Type": content_type},
    )


def _only_result(reply: Reply) -> list[Result]:
    """The results of a request whose only image may have failed. Raises what is not its fault."""
    try:
        return parse_results(reply.json())
    except ABOUT_ONE_IMAGE as error:
        return [error]


def tasks() -> Operation[list[TaskInfo]]:
    """The tasks served, the default one first."""
    return Operation("GET", path_of("v1", "tasks"), lambda reply: parse_tasks(reply.json()))


def task(name: str) -> Operation[TaskInfo]:
    """One task."""
    path = path_of("v1", "tasks", name)
    return Operation("GET", path, lambda reply: TaskInfo.parse(reply.json()))


def curve(name: str, link_ms: float) -> Operation[dict[str, Any]]:
    """What each accuracy target of a task costs."""
    path = path_of("v1", "tasks", name, "curve", link_ms=f"{link_ms:g}")
    return Operation("GET", path, Reply.json)


def delivered(name: str | None, app: str | None) -> Operation[Report]:
    """Delivered accuracy of a task, or of an app. Raises InvalidRequest for neither."""
    if app is not None:
        path = path_of("v1", "apps", app, "accuracy")
    elif name is not None:
        path = path_of("v1", "tasks", name, "accuracy")
    else:
        raise InvalidRequest("name a task or an app")
    return Operation("GET", path, lambda reply: Report.parse(reply.json()))


def feedback(
    request_id: str, truth: str | int | Mapping[str, Json], key: str | None
) -> Operation[bool]:
    """The truth of an answer; whether it counted."""
    return Operation(
        "POST",
        path_of("v1", "feedback"),
        lambda reply: FeedbackTaken.parse(reply.json()).counted,
        orjson.dumps(Feedback.of(request_id, truth).as_dict()),
        json_headers(key),
    )


def apps() -> Operation[list[AppInfo]]:
    """The stored targets of all apps."""
    return Operation("GET", path_of("v1", "apps"), lambda reply: parse_apps(reply.json()))


def app(name: str) -> Operation[AppInfo]:
    """The stored target of one app."""
    path = path_of("v1", "apps", name)
    return Operation("GET", path, lambda reply: AppInfo.parse(reply.json()))


def put_app(stored: AppInfo, key: str | None) -> Operation[AppInfo]:
    """Store a target."""
    return Operation(
        "PUT",
        path_of("v1", "apps", stored.app),
        lambda reply: AppInfo.parse(reply.json()),
        orjson.dumps(stored.as_request()),
        json_headers(key),
    )


def delete_app(name: str, key: str | None) -> Operation[None]:
    """Forget a target."""
    return Operation("DELETE", path_of("v1", "apps", name), Reply.nothing, headers=bearer(key))


def agents() -> Operation[list[AgentStatus]]:
    """The agents of the fleet."""
    return Operation("GET", path_of("v1", "agents"), lambda reply: parse_agents(reply.json()))


def power() -> Operation[PowerStatus]:
    """Power, energy and temperature of the agent's machine."""
    return Operation("GET", path_of("v1", "power"), lambda reply: PowerStatus.parse(reply.json()))


def open_stream(body: Mapping[str, Json]) -> Operation[StreamOffer]:
    """Open a lossy stream."""
    return Operation(
        "POST",
        path_of("v1", "streams"),
        lambda reply: parse_offer(reply.json()),
        orjson.dumps(body),
        json_headers(),
    )


def stream_status(stream_id: str) -> Operation[StreamStatus]:
    """Counts and advice of a lossy stream."""
    path = path_of("v1", "streams", stream_id)
    return Operation("GET", path, lambda reply: StreamStatus.parse(reply.json()))


def close_stream(stream_id: str) -> Operation[None]:
    """End a lossy stream."""
    return Operation("DELETE", path_of("v1", "streams", stream_id), Reply.nothing)


def stream_events(stream_id: str, after: int | None) -> Operation[None]:
    """The events of a lossy stream, which `EventReader` reads line by line."""
    path = path_of("v1", "streams", stream_id, "results", after=after)
    return Operation("GET", path, Reply.nothing)


def ready() -> Operation[bool]:
    """Whether the agent takes traffic."""
    return Operation("GET", path_of("v2", "health", "ready"), lambda reply: reply.status == 200)
