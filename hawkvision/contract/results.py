"""What `POST /v1/classify` answers: one image's answer, or several in their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hawkvision.contract.answer import Answer
from hawkvision.contract.errors import error_body, parse_error
from hawkvision.contract.fields import Fields
from hawkvision.errors import HawkVisionError

Result = Answer | HawkVisionError


def results_body(results: Sequence[Result]) -> dict[str, Any]:
    """The JSON object for several images, errors in their places."""
    return {
        "results": [
            one.as_dict() if isinstance(one, Answer) else error_body(one) for one in results
        ]
    }


def parse_results(body: object) -> list[Result]:
    """The answers for one image or several, errors in their places. Raises UnexpectedReply."""
    found = Fields.of(body, "the answer to a request")
    if "results" not in found.body:
        return [Answer.parse(found.body)]
    return [
        parse_error(one.body["error"]) if "error" in one.body else Answer.parse(one.body)
        for one in found.children("results")
    ]
