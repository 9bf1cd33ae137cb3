"""Reading a JSON object key by key, trusting nothing: what is wrong raises one kind of error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias, TypeGuard

from hawkvision.errors import HawkVisionError, UnexpectedReply

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Failure = Callable[[str], HawkVisionError]
"""Makes the error from what is wrong, e.g. `InvalidRequest` for what a client sent."""


def unexpected(what: str) -> UnexpectedReply:
    """The error for a reply of another shape."""
    return UnexpectedReply(
        f"the server's reply is not HawkVision's: {what}", hint="Check the URL and its version."
    )


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object, `what` in messages. Every method raises `failure`'s error, naming the key.

    Most take a `default` that stands for a key which is absent or null; without it the key is
    needed.
    """

    body: Mapping[str, Json]
    what: str
    failure: Failure = unexpected

    @classmethod
    def of(cls, body: object, what: str, failure: Failure = unexpected) -> Fields:
        """Raises the error unless `body` is an object."""
        if not isinstance(body, Mapping) or not all(isinstance(key, str) for key in body):
            raise failure(f"{what} is no JSON object")
        return cls(body, what, failure)

    def only(self, *keys: str) -> None:
        """Raises the error for a key that is none of these."""
        if unknown := sorted(set(self.body) - set(keys)):
            raise self.failure(f"{self.what} with the unknown key {unknown[0][:40]!r}")

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.body.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        found = self._get(key, default)
        return found if isinstance(found, str) else self._refuse(key, "a text")

    def text_or_none(self, key: str) -> str | None:
        """A text, None where the key is absent or null."""
        return self.text(key) if self.has(key) else None

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        found = self._get(key, default)
        return float(found) if _is_number(found) else self._refuse(key, "a number")

    def number_or_none(self, key: str) -> float | None:
        """A finite number, None where the key is absent or null."""
        return self.number(key) if self.has(key) else None

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        found = self._get(key, default)
        if isinstance(found, int) and not isinstance(found, bool):
            return found
        return self._refuse(key, "a whole number")

    def flag(self, key: str, default: bool | None = None) -> bool:
        """True or false."""
        found = self._get(key, default)
        return found if isinstance(found, bool) else self._refuse(key, "true or false")

    def target(self, key: str) -> float | str:
        """An accuracy target: a number, or a text such as `relative:0.02`."""
        found = self._get(key, None)
        return found if isinstance(found, str) else self.number(key)

    def texts(self, key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of texts."""
        found = [one for one in self._list(key, default) if isinstance(one, str)]
        if len(found) < len(self._list(key, default)):
            self._refuse(key, "a list of texts")
        return tuple(found)

    def numbers(self, key: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        """A list of finite numbers."""
        found = [float(one) for one in self._list(key, default) if _is_number(one)]
        if len(found) < len(self._list(key, default)):
            self._refuse(key, "a list of numbers")
        return tuple(found)

    def child(self, key: str, default: Mapping[str, Json] | None = None) -> Fields:
        """An object within."""
        return Fields.of(self._get(key, default), self._within(key), self.failure)

    def children(self, key: str, default: Sequence[Json] | None = None) -> list[Fields]:
        """A list of objects."""
        return [Fields.of(one, self._within(key), self.failure) for one in self._list(key, default)]

    def named(self, key: str) -> dict[str, Fields]:
        """An object whose values are objects."""
        found = self.child(key)
        return {name: found.child(name) for name in found.body}

    def named_numbers(self, key: str) -> dict[str, float]:
        """An object whose values are finite numbers; empty where the key is absent."""
        found = self.child(key, {})
        return {name: found.number(name) for name in found.body}

    def named_texts(self, key: str) -> dict[str, str]:
        """An object whose values are texts; empty where the key is absent."""
        found = self.child(key, {})
        return {name: found.text(name) for name in found.body}

    def _get(self, key: str, default: Json) -> Json:
        found = self.body.get(key)
        if found is None and default is None:
            raise self.failure(f"{self.what} without {key!r}")
        return default if found is None else found

    def _list(self, key: str, default: Sequence[Json] | None) -> Sequence[Json]:
        found = self._get(key, default)
        return found if isinstance(found, list | tuple) else self._refuse(key, "a list")

    def _within(self, key: str) -> str:
        return f"{key[:40]!r} of {self.what}"

    def _refuse(self, key: str, wanted: str) -> NoReturn:
        told = str(self.body.get(key))[:40]
        raise self.failure(f"{self._within(key)} is not {wanted}: {told!r}")


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False
