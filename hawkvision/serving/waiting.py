"""A call's images that wait for a batch, and the batch that they are put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hawkvision.errors import HawkVisionError
from hawkvision.serving.claims import ANYBODY, Claim

T = TypeVar("T")


def _always() -> bool:
    return True


@dataclass(slots=True, eq=False)
class Waiting(Generic[T]):
    """Implements `Claimant`: `items` images of `size` bytes together, which stay together.

    `wanted` says whether anybody still waits for the answer.
    """

    work: T
    items: int = 1
    size: int = 0
    deadline: float = float("inf")
    claim: Claim = ANYBODY
    wanted: Callable[[], bool] = _always


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """What runs together. A `trial` answered for itself: nothing ran or waited when it came."""

    members: tuple[Waiting[T], ...]
    images: int
    began: float
    trial: bool = False


@dataclass(frozen=True, slots=True)
class Turned(Generic[T]):
    """One that waited and gets no answer, and what its sender is told."""

    waiting: Waiting[T]
    error: HawkVisionError


@dataclass(frozen=True, slots=True)
class Limits:
    """Most images of a batch; most images, and bytes of them, that wait."""

    batch: int = 32
    images: int = 64
    size: int = 64 * 1024 * 1024
