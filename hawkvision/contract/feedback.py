"""The truth about an answer, as a client reports it, and whether it counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hawkvision.contract.fields import Fields, Json
from hawkvision.errors import InvalidRequest
from hawkvision.json_schema import MERGED

_REQUEST_ID = "request_id"


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(what, hint='Send {"request_id": …, "label": …} or with "class_id".')


@dataclass(frozen=True, slots=True)
class Feedback:
    """The truth of one answer, in the fields of the task's kind.

    For classification that is `label` or `class_id`.
    """

    request_id: str
    truth: Mapping[str, Json] = field(metadata=MERGED)

    @classmethod
    def of(cls, request_id: str, truth: str | int | Mapping[str, Json]) -> Feedback:
        """A label, a class id, or the fields of another kind."""
        if isinstance(truth, Mapping):
            return cls(request_id, truth)
        return cls(request_id, {"label" if isinstance(truth, str) else "class_id": truth})

    def as_dict(self) -> dict[str, Any]:
        """The body of `POST /v1/feedback`."""
        return {_REQUEST_ID: self.request_id, **self.truth}

    @classmethod
    def parse(cls, body: object) -> Feedback:
        """From the body; what the truth means is the kind's to judge. Raises InvalidRequest."""
        found = Fields.of(body, "the body", _wrong)
        truth = {key: value for key, value in found.body.items() if key != _REQUEST_ID}
        return cls(found.text(_REQUEST_ID), truth)


@dataclass(frozen=True, slots=True)
class FeedbackTaken:
    """Whether a truth counted; a second one for the same answer does not."""

    counted: bool

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"counted": self.counted}

    @classmethod
    def parse(cls, body: object) -> FeedbackTaken:
        """From the JSON object. Raises UnexpectedReply."""
        return cls(Fields.of(body, "an answer to feedback").flag("counted"))
