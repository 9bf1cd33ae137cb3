"""Error bodies as our errors, and back: `{"code", "message", "hint"}`."""

from __future__ import annotations

from typing import Any

from hawkvision import errors
from hawkvision.contract.fields import Fields
from hawkvision.errors import (
    CorruptImage,
    HawkVisionError,
    Overloaded,
    PayloadTooLarge,
    TargetUnreachable,
    UnsupportedImage,
)

_BY_CODE: dict[str, type[HawkVisionError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, HawkVisionError)
}

ABOUT_ONE_IMAGE = (CorruptImage, UnsupportedImage, PayloadTooLarge)
"""Errors that an image causes, and that stand in its place among the results."""


def error_body(error: HawkVisionError) -> dict[str, Any]:
    """What stands in place of an answer: `{"error": …}`."""
    return {"error": error.as_dict()}


def parse_error(body: object, retry_after: str | None = None) -> HawkVisionError:
    """The error for what stands under `error`: an object, or a plain text.

    A code that has no class of its own is kept as the `code` of a HawkVisionError. `retry_after` is
    the header's, in seconds. Never raises: an error that is badly put is still an error.
    """
    if not isinstance(body, dict):
        return HawkVisionError(str(body)[:200])
    message, hint = str(body.get("message", "")), str(body.get("hint", ""))
    code = str(body.get("code", HawkVisionError.code))
    kind = _BY_CODE.get(code)
    if kind is None:
        unnamed = HawkVisionError(message, hint=hint)
        unnamed.code = code
        return unnamed
    if kind is TargetUnreachable:
        return TargetUnreachable(message, highest=_highest(body), hint=hint)
    if issubclass(kind, Overloaded):
        given = retry_after is not None and retry_after.isascii() and retry_after.isdigit()
        after = int(retry_after[:6]) if retry_after and given else 1
        return kind(message, retry_after_s=after, hint=hint)
    return kind(message, hint=hint)


def _highest(body: dict[str, Any]) -> float:
    try:
        return Fields(body, "an error").number("highest_certifiable", 0.0)
    except HawkVisionError:
        return 0.0
