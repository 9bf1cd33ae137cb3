"""Stored targets of apps: what requests of an app ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hawkvision.contract.fields import Fields
from hawkvision.errors import InvalidRequest

_KEYS = ("task", "accuracy", "deadline_ms")


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(what, hint='Send {"task": …, "accuracy": 0.95}, perhaps "deadline_ms".')


@dataclass(frozen=True, slots=True)
class AppInfo:
    """An app with its task, its accuracy target and, in milliseconds, its deadline."""

    app: str
    task: str
    accuracy: float | str
    deadline_ms: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "app": self.app,
            "task": self.task,
            "accuracy": self.accuracy,
            "deadline_ms": self.deadline_ms,
        }

    @classmethod
    def parse(cls, body: object) -> AppInfo:
        """From the JSON object. Raises UnexpectedReply."""
        return cls._of(Fields.of(body, "an app"), None)

    def as_request(self) -> dict[str, Any]:
        """The body of `PUT /v1/apps/{app}`."""
        asked = {"task": self.task, "accuracy": self.accuracy, "deadline_ms": self.deadline_ms}
        return {key: value for key, value in asked.items() if value is not None}

    @classmethod
    def parse_request(cls, app: str, body: object) -> AppInfo:
        """From the body of `PUT /v1/apps/{app}`. Raises InvalidRequest naming the key."""
        found = Fields.of(body, "the body", _wrong)
        found.only(*_KEYS)
        return cls._of(found, app)

    @classmethod
    def _of(cls, found: Fields, app: str | None) -> AppInfo:
        return cls(
            app=found.text("app") if app is None else app,
            task=found.text("task"),
            accuracy=found.target("accuracy"),
            deadline_ms=found.number_or_none("deadline_ms"),
        )


def apps_body(apps: Sequence[AppInfo]) -> dict[str, Any]:
    """The JSON object of `GET /v1/apps`."""
    return {"apps": [app.as_dict() for app in apps]}


def parse_apps(body: object) -> list[AppInfo]:
    """The apps of `GET /v1/apps`. Raises UnexpectedReply."""
    found = Fields.of(body, "a list of apps")
    return [AppInfo.parse(one.body) for one in found.children("apps")]
