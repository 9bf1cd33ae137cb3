"""What an agent answers, typed; its error bodies as our errors. Knows nothing of sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from hawkvision import errors
from hawkvision.errors import (
    AgentUnreachable,
    CorruptImage,
    HawkVisionError,
    Overloaded,
    PayloadTooLarge,
    TargetUnreachable,
    UnsupportedImage,
)
from hawkvision.lossy.offer import StreamOffer

_BY_CODE: dict[str, type[HawkVisionError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, HawkVisionError)
}

ABOUT_ONE_IMAGE = (CorruptImage, UnsupportedImage, PayloadTooLarge)
"""Errors that an image causes, and that stand in its place among the results."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One of the most probable classes."""

    label: str
    class_id: int
    probability: float


@dataclass(frozen=True, slots=True)
class Promise:
    """The accuracy target that was asked for, and whether the answer keeps it.

    `threshold` is the edge's confidence threshold in force; above 1 everything escalates.
    """

    target: float | str
    certified: bool
    threshold: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One image's answer; fields as in the HTTP contract, `timing_ms` in milliseconds."""

    request_id: str
    task: str
    label: str
    class_id: int
    confidence: float
    top_k: tuple[Guess, ...]
    served_by: str
    escalated: bool
    degraded: str | None
    accuracy: Promise
    timing_ms: Mapping[str, float]

    @property
    def certified(self) -> bool:
        """Whether the answer keeps the target that was asked for."""
        return self.accuracy.certified


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as an agent describes it."""

    name: str
    version: str
    labels: tuple[str, ...]
    aliases: Mapping[str, str]
    default_accuracy: float
    highest_certifiable: float
    description: str = ""
    class_ids: Mapping[str, int] = field(default_factory=dict)


def parse_answer(body: Mapping[str, Any]) -> Answer:
    """An answer from its JSON object. Raises HawkVisionError for another shape."""
    try:
        accuracy = body["accuracy"]
        return Answer(
            request_id=str(body["request_id"]),
            task=str(body.get("task", "")),
            label=str(body["label"]),
            class_id=int(body["class_id"]),
            confidence=float(body["confidence"]),
            top_k=tuple(
                Guess(str(guess["label"]), int(guess["class_id"]), float(guess["probability"]))
                for guess in body.get("top_k", ())
            ),
            served_by=str(body["served_by"]),
            escalated=bool(body["escalated"]),
            degraded=body["degraded"],
            accuracy=Promise(
                target=_target(accuracy["target"]),
                certified=bool(accuracy["certified"]),
                threshold=float(accuracy["threshold"]),
            ),
            timing_ms=dict(body.get("timing_ms", {})),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unexpected(f"an answer without {error}") from error


def _target(raw: Any) -> float | str:
    return raw if isinstance(raw, str) else float(raw)


def parse_results(body: Mapping[str, Any]) -> list[Answer | HawkVisionError]:
    """The answers of a request with one or many images, errors in their places."""
    items = body.get("results", [body])
    return [parse_error(item["error"]) if "error" in item else parse_answer(item) for item in items]


def only_result(error: HawkVisionError) -> list[Answer | HawkVisionError]:
    """The results of a request whose only image failed. Raises what is no image's fault."""
    if isinstance(error, ABOUT_ONE_IMAGE):
        return [error]
    raise error


def parse_task(body: Mapping[str, Any]) -> TaskInfo:
    """A task's description from its JSON object."""
    try:
        labels = tuple(str(label) for label in body["labels"])
        aliases = {str(alias): str(label) for alias, label in body["aliases"].items()}
        ids = {label: index for index, label in enumerate(labels)}
        return TaskInfo(
            name=str(body["name"]),
            version=str(body["version"]),
            labels=labels,
            aliases=aliases,
            default_accuracy=float(body["default_accuracy"]),
            highest_certifiable=float(body["highest_certifiable"]),
            description=str(body.get("description", "")),
            class_ids=ids | {alias: ids[label] for alias, label in aliases.items()},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unexpected(f"a task without {error}") from error


def parse_offer(body: Mapping[str, Any]) -> StreamOffer:
    """A lossy stream's address and key. Raises HawkVisionError for another shape."""
    try:
        return StreamOffer.parse(body)
    except (KeyError, TypeError, ValueError) as error:
        raise _unexpected(f"a stream without {error}") from error


def parse_error(body: Any, retry_after: str | None = None) -> HawkVisionError:
    """The error for a `{"code", "message", "hint"}` object, or for a plain text.

    A code that has no class of its own is kept as the `code` of a HawkVisionError.
    """
    if not isinstance(body, Mapping):
        return HawkVisionError(str(body)[:200])
    message, hint = str(body.get("message", "")), str(body.get("hint", ""))
    code = str(body.get("code"))
    kind = _BY_CODE.get(code)
    if kind is None:
        unnamed = HawkVisionError(message, hint=hint)
        unnamed.code = code
        return unnamed
    if kind is TargetUnreachable:
        highest = float(body.get("highest_certifiable", 0.0))
        return TargetUnreachable(message, highest=highest, hint=hint)
    if kind is Overloaded:
        after = int(retry_after) if retry_after and retry_after.isdigit() else 1
        return Overloaded(message, retry_after_s=after, hint=hint)
    return kind(message, hint=hint)


def check_reply(status: int, body: bytes, retry_after: str | None) -> Any:
    """The JSON of a reply. Raises the error that it carries."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unexpected(f"status {status} without JSON") from error
    if not isinstance(parsed, dict):
        raise _unexpected(f"status {status} without a JSON object")
    if status >= 400:
        raise parse_error(parsed.get("error", f"status {status}"), retry_after)
    return parsed


def unreachable(url: str, error: Exception) -> AgentUnreachable:
    """The error for a connection that failed."""
    return AgentUnreachable(
        f"no agent answers at {url}: {type(error).__name__}",
        hint="Start one with `hawkvision up`, or give --url.",
    )


def _unexpected(what: str) -> HawkVisionError:
    return HawkVisionError(
        f"the server's reply is not HawkVision's: {what}", hint="Check the URL and its version."
    )
