"""The answer to one image: an envelope that all kinds of task share, and the kind's own fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hawkvision.contract.fields import Fields, Json
from hawkvision.json_schema import MERGED


@dataclass(frozen=True, slots=True)
class Guess:
    """One of the most probable classes."""

    label: str
    class_id: int
    probability: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"label": self.label, "class_id": self.class_id, "probability": self.probability}

    @classmethod
    def parse(cls, body: object) -> Guess:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "a guess")
        return cls(found.text("label"), found.whole("class_id"), found.number("probability"))


@dataclass(frozen=True, slots=True)
class Promise:
    """The accuracy target that was asked for, and whether the answer keeps it.

    `threshold` is the edge's confidence threshold in force; above 1 everything escalates.
    `reason` says why an answer is not certified although nothing degraded it.
    """

    target: float | str
    certified: bool
    threshold: float
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; `reason` only where there is one."""
        body: dict[str, Any] = {
            "target": self.target,
            "certified": self.certified,
            "threshold": self.threshold,
        }
        if self.reason is not None:
            body["reason"] = self.reason
        return body

    @classmethod
    def parse(cls, body: object) -> Promise:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "the accuracy of an answer")
        return cls(
            target=found.target("target"),
            certified=found.flag("certified"),
            threshold=found.number("threshold"),
            reason=found.text_or_none("reason"),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """One image's answer.

    `prediction` holds what the task's kind answers, as JSON, always with a `confidence` in
    [0, 1]; for classification also `label`, `class_id` and `top_k`. `served_by` is `edge` or `dc`,
    `rung` the name of the task's model that answered, `escalated` whether that was over the link;
    `degraded` says why an answer is weaker than promised; `timing_ms` is in milliseconds.
    """

    request_id: str
    task: str
    prediction: Mapping[str, Json] = field(metadata=MERGED)
    served_by: str
    escalated: bool
    degraded: str | None
    accuracy: Promise
    timing_ms: Mapping[str, float]
    rung: str = ""

    @property
    def certified(self) -> bool:
        """Whether the answer keeps the target that was asked for."""
        return self.accuracy.certified

    @property
    def confidence(self) -> float:
        """The calibrated confidence, in [0, 1]; every kind has one."""
        return self._fields.number("confidence")

    @property
    def label(self) -> str:
        """The most probable class. AttributeError for a kind that names none."""
        self._needs("label")
        return self._fields.text("label")

    @property
    def class_id(self) -> int:
        """Its place among the task's labels. AttributeError for a kind that names none."""
        self._needs("class_id")
        return self._fields.whole("class_id")

    @property
    def top_k(self) -> tuple[Guess, ...]:
        """The most probable classes, best first; empty where they were not sent."""
        return tuple(Guess.parse(one.body) for one in self._fields.children("top_k", ()))

    @property
    def _fields(self) -> Fields:
        return Fields(self.prediction, "an answer")

    def _needs(self, name: str) -> None:
        if name not in self.prediction:
            known = ", ".join(self.prediction)
            raise AttributeError(f"answers of task {self.task!r} have no {name}, but {known}")

    def as_dict(self) -> dict[str, Any]:
        """The JSON object, the kind's fields among the others."""
        return {
            "request_id": self.request_id,
            "task": self.task,
            **self.prediction,
            "rung": self.rung,
            "served_by": self.served_by,
            "escalated": self.escalated,
            "degraded": self.degraded,
            "accuracy": self.accuracy.as_dict(),
            "timing_ms": self.timing_ms,
        }

    @classmethod
    def parse(cls, body: object) -> Answer:
        """From the JSON object; `task`, `rung`, `top_k` and `timing_ms` may be absent.

        Fields that classification knows mean the same in every kind. Raises UnexpectedReply.
        """
        found = Fields.of(body, "an answer")
        answer = cls(
            request_id=found.text("request_id"),
            task=found.text("task", ""),
            prediction={key: found.body[key] for key in found.body if key not in _ENVELOPE},
            served_by=found.text("served_by"),
            escalated=found.flag("escalated"),
            degraded=found.text_or_none("degraded"),
            accuracy=Promise.parse(found.child("accuracy").body),
            timing_ms=found.named_numbers("timing_ms"),
            rung=found.text("rung", ""),
        )
        answer._check()
        return answer

    def _check(self) -> None:
        """Read once what the properties read, so that they cannot fail later."""
        found = self._fields
        _ = found.number("confidence"), self.top_k
        if "label" in self.prediction or "class_id" in self.prediction:
            _ = found.text("label"), found.whole("class_id")


_ENVELOPE = frozenset(field.name for field in fields(Answer)) - {"prediction"}
