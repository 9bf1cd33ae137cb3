"""A task as an agent describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hawkvision.contract.fields import Fields, Json
from hawkvision.tasks import TaskKind, kind_named

CLASSIFICATION = "classification"


@dataclass(frozen=True, slots=True)
class RungInfo:
    """One model of a task; `input` is [C,H,W], the shape of its input for one image.

    `resident` says whether the agent holds it.
    """

    name: str
    precision: str
    input: tuple[int, ...]
    resident: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "name": self.name,
            "precision": self.precision,
            "input": list(self.input),
            "resident": self.resident,
        }

    @classmethod
    def parse(cls, found: Fields) -> RungInfo:
        """From the JSON object. Raises UnexpectedReply."""
        shape = tuple(int(side) for side in found.numbers("input", ()))
        name, precision = found.text("name"), found.text("precision", "")
        return cls(name, precision, shape, found.flag("resident", False))


@dataclass(frozen=True)
class TaskInfo:
    """What a task answers, and which accuracy it can certify.

    `labels` is empty for a kind that names none; `aliases` map other names to labels, `settings`
    are what else its kind is made of. All targets of `tiers`, if there are any, hold at once;
    `delta` is the risk that the calibration missed, over `calibration_images`. `engine` says what
    answers at the edge and what its hardware counted, `certificate` what the calibration's numerics
    were and whether this agent's are the same.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    aliases: Mapping[str, str]
    default_accuracy: float
    highest_certifiable: float
    description: str = ""
    kind: str = CLASSIFICATION
    tiers: tuple[float, ...] = ()
    delta: float = 0.05
    calibration_images: int = 0
    engine: Mapping[str, Json] = field(default_factory=dict)
    certificate: Mapping[str, Json] | None = None
    rungs: tuple[RungInfo, ...] = ()
    settings: Mapping[str, Json] = field(default_factory=dict)

    @cached_property
    def made_kind(self) -> TaskKind[Any, Any]:
        """The task's kind, to judge its answers with. Raises RepositoryError for an unknown one."""
        table = {"labels": list(self.labels), "aliases": dict(self.aliases), **self.settings}
        return kind_named(self.kind).parse(table)

    @property
    def class_ids(self) -> Mapping[str, int]:
        """Of a classification: places among the labels, by label and by alias; else empty."""
        found: Mapping[str, int] = getattr(self.made_kind, "class_ids", {})
        return found

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        body: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "kind": self.kind,
            "labels": list(self.labels),
            "aliases": dict(self.aliases),
            "default_accuracy": self.default_accuracy,
            "highest_certifiable": self.highest_certifiable,
            "tiers": list(self.tiers),
            "delta": self.delta,
            "calibration_images": self.calibration_images,
            "engine": dict(self.engine),
            "certificate": None if self.certificate is None else dict(self.certificate),
            "rungs": [rung.as_dict() for rung in self.rungs],
        }
        return body | ({"settings": dict(self.settings)} if self.settings else {})

    @classmethod
    def parse(cls, body: object) -> TaskInfo:
        """From the JSON object; what older agents do not say may be absent.

        Raises UnexpectedReply, also for an alias of no label.
        """
        found = Fields.of(body, "a task")
        labels, aliases = found.texts("labels"), found.named_texts("aliases")
        if strange := sorted(set(aliases.values()) - set(labels)):
            raise found.failure(f"a task with an alias of {strange[0][:40]!r}, which is no label")
        return cls(
            name=found.text("name"),
            version=found.text("version"),
            labels=labels,
            aliases=aliases,
            default_accuracy=found.number("default_accuracy"),
            highest_certifiable=found.number("highest_certifiable"),
            description=found.text("description", ""),
            kind=found.text("kind", CLASSIFICATION),
            tiers=found.numbers("tiers", ()),
            delta=found.number("delta", cls.delta),
            calibration_images=found.whole("calibration_images", cls.calibration_images),
            engine=found.child("engine", {}).body,
            certificate=found.child("certificate").body if found.has("certificate") else None,
            rungs=tuple(RungInfo.parse(one) for one in found.children("rungs", ())),
            settings=found.child("settings", {}).body,
        )


def tasks_body(tasks: list[TaskInfo]) -> dict[str, Any]:
    """The JSON object of `GET /v1/tasks`, the default task first."""
    return {"tasks": [task.as_dict() for task in tasks]}


def parse_tasks(body: object) -> list[TaskInfo]:
    """The tasks of `GET /v1/tasks`, at least one. Raises UnexpectedReply."""
    found = Fields.of(body, "a list of tasks")
    tasks = [TaskInfo.parse(one.body) for one in found.children("tasks")]
    if not tasks:
        raise found.failure("a list of tasks without any")
    return tasks
