"""What a piece of work may claim of its turn: for whom it is, how urgent, and by when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Priority(IntEnum):
    """Who waits for an answer; the number is the `priority` parameter of a request, least first.

    Source: Triton's reserved parameter `priority`, where 1 is the highest and 0 the default.
    """

    USER = 1
    AUDIT = 2
    PROBE = 3

    @classmethod
    def of(cls, level: int) -> Priority:
        """The priority of a level as a request names it; more than the lowest is the lowest."""
        return cls(min(max(level, cls.USER), cls.PROBE))


@dataclass(frozen=True, slots=True)
class Claim:
    """`client` names who shares with others, by `weight`; `allowed_s` is the time it gave."""

    client: str = ""
    weight: float = 1.0
    priority: Priority = Priority.USER
    allowed_s: float = math.inf


ANYBODY = Claim()
"""Of work whose sender is not told apart."""


class Claimant(Protocol):
    """Work that waits for its turn: so many items, due at `deadline` (seconds, any one clock)."""

    @property
    def items(self) -> int:
        """How many images it is."""
        ...

    @property
    def deadline(self) -> float:
        """When its answer is due."""
        ...

    @property
    def claim(self) -> Claim:
        """For whom, and how urgent."""
        ...
