"""What requests ask for, drawn by weight: `0.80:1,0.90:3` asks for 0.90 three times in four."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hawkvision.errors import InvalidRequest

T = TypeVar("T")


@dataclass(frozen=True)
class Mix(Generic[T]):
    """Values and the sums of their weights up to each."""

    values: tuple[T, ...]
    sums: tuple[float, ...]

    @classmethod
    def of(cls, weighted: Iterable[tuple[T, float]]) -> Mix[T]:
        """At least one value, weights above 0."""
        pairs = list(weighted)
        return cls(
            tuple(value for value, _ in pairs),
            tuple(itertools.accumulate(weight for _, weight in pairs)),
        )

    def draw(self, rng: random.Random) -> T:
        """One value."""
        return rng.choices(self.values, cum_weights=self.sums)[0]


def parse_mix(text: str, value: Callable[[str], T], what: str) -> Mix[T]:
    """A mix from `VALUE[:WEIGHT],…`. Raises InvalidRequest, which names `what`."""
    weighted: list[tuple[T, float]] = []
    for part in text.split(","):
        name, _, weight = part.strip().partition(":")
        try:
            pair = (value(name), float(weight or 1))
        except ValueError as error:
            raise _refused(what, str(error)) from error
        if not 0 < pair[1] < float("inf"):
            raise _refused(what, f"{part.strip()!r} has no weight above 0")
        weighted.append(pair)
    return Mix.of(weighted)


def _refused(what: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{what}: {why}", hint="Give values and weights, 0.80:1,0.90:3.")
