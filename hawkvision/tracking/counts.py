"""What a count means: typed events in, additive measures by name out, and back again.

The one place where the names of measures are made and read. Delivered accuracy is counted for each
(app, target); what steers thresholds is counted for the whole task, of each source of traffic by
itself (see `trust`), by the edge's confidence in `BINS` steps of log-odds: how many requests had
such a confidence, and of those whose data-center answer is known (escalated ones for free, audited
ones with weight 1/p) the soft errors of the edge's and of the data center's answer: what each would
be wrong by if the data center's calibrated prediction is believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hawkvision.cascade import Accuracy
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.trust import ANONYMOUS, source_of

Sums = Mapping[str, float]
Floats = npt.NDArray[np.float64]
RUNGS = ("edge", "dc")
BINS = 24
_RANGE = 6.0
_WIDTH = 2 * _RANGE / BINS
TASK_WIDE = "*"
PROBES = "probes"
"""In place of an accuracy target, under which golden probes are counted."""

LARGEST_WEIGHT = 100.0
"""Audit weights are clipped here, so that one rare sample cannot outweigh a thousand answers."""

Add = Callable[[CountKey, str, float], None]


def bin_width() -> float:
    """Of one bin, in log-odds."""
    return _WIDTH


def place_of(confidence: float) -> float:
    """Where a confidence in [0, 1] lies on the scale of bins, 0 … BINS."""
    clipped = min(max(confidence, 1e-6), 1 - 1e-6)
    z = math.log(clipped / (1 - clipped))
    return min(float(BINS), max(0.0, (z + _RANGE) / _WIDTH))


def confidence_at(place: float) -> float:
    """The confidence at a place on the scale of bins; 0 at its start."""
    return 0.0 if place <= 0 else 1 / (1 + math.exp(_RANGE - place * _WIDTH))


def bin_of(confidence: float) -> int:
    """The bin that a confidence in [0, 1] lies in."""
    return min(BINS - 1, int(place_of(confidence)))


@lru_cache(maxsize=4096)
def counted_target(accuracy: Accuracy) -> str:
    """A target as it is counted: to three digits, so that clients cannot make counters at will."""
    value = min(max(round(accuracy.value, 3), 0.001), 0.999)
    return str(Accuracy(value, accuracy.relative))


# Events in.

_REQUESTS = tuple(f"bin/{index}/n" for index in range(BINS))


@lru_cache(maxsize=256)
def _names_of(served_by: str, loss_level: float) -> tuple[str, str]:
    """Of the measures that every answer adds to."""
    return f"answers/{served_by}/{loss_level:g}", f"confidence/{served_by}"


def answered(
    add: Add,
    key: CountKey,
    *,
    served_by: str,
    degraded: str | None,
    loss_level: float,
    edge_confidence: float,
    answer_confidence: float,
) -> None:
    """One request was answered."""
    answers, confidence = _names_of(served_by, loss_level)
    add(key, answers, 1.0)
    add(key, confidence, answer_confidence)
    if degraded is not None:
        add(key, f"degraded/{degraded}", 1.0)
    if loss_level == 0:
        whole = CountKey(key.task, source_of(key.app), TASK_WIDE)
        add(whole, _REQUESTS[bin_of(edge_confidence)], 1.0)


def compared(
    add: Add,
    task: str,
    *,
    edge_confidence: float,
    edge_error: float,
    dc_error: float,
    weight: float,
    source: str = ANONYMOUS,
) -> None:
    """Both rungs are known for a request: it escalated (weight 1), or was audited (1/p).

    The errors are expected losses in [0, 1] if the data center's prediction is believed.
    """
    key = CountKey(task, source, TASK_WIDE)
    name = f"bin/{bin_of(edge_confidence)}"
    clipped = min(weight, LARGEST_WEIGHT)
    add(key, f"{name}/k", 1.0)
    add(key, f"{name}/w", clipped)
    add(key, f"{name}/edge_loss", clipped * edge_error)
    add(key, f"{name}/dc_loss", clipped * dc_error)


def audited(add: Add, key: CountKey, *, edge_error: float, weight: float) -> None:
    """A locally answered request also went to the data center, with probability 1/weight."""
    clipped = min(weight, LARGEST_WEIGHT)
    for name, amount in (
        ("n", 1.0),
        ("w", clipped),
        ("w2", clipped * clipped),
        ("loss", clipped * edge_error),
    ):
        add(key, f"audit/{name}", amount)


def fed_back(add: Add, key: CountKey, *, served_by: str, error: float, edge_error: float) -> None:
    """A truth came for an answered request: how wrong the answer was, and the edge's alone."""
    add(key, f"feedback/{served_by}/n", 1.0)
    add(key, f"feedback/{served_by}/right", 1.0 - error)
    if served_by == "dc":
        paired(add, key, edge_error=edge_error, dc_error=error)


def paired(add: Add, key: CountKey, *, edge_error: float, dc_error: float) -> None:
    """Both rungs answered an image whose truth is known: which was the better one, if any."""
    add(key, "pair/n", 1.0)
    if edge_error != dc_error:
        add(key, "pair/edge" if edge_error < dc_error else "pair/dc", 1.0)


# Measures out.


@dataclass(frozen=True, slots=True)
class Labelled:
    """Answers of one rung whose truth is known, and one minus their losses, added up."""

    n: float
    right: float


@dataclass(frozen=True, slots=True)
class Audited:
    """Audits of local answers: their number, weights, squared weights, and weighted errors."""

    n: float
    weight: float
    weight_squared: float
    error: float


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was counted for an app and target, or for several of them together.

    `answers` is the number by rung and loss level, `confidence` its sum by rung.
    """

    answers: Mapping[tuple[str, str], float]
    confidence: Mapping[str, float]
    degraded: Mapping[str, float]
    feedback: Mapping[str, Labelled]
    audits: Audited

    @classmethod
    def read(cls, sums: Sums) -> Delivered:
        """From measures by name; those of other events are passed over."""
        answers: dict[tuple[str, str], float] = {}
        confidence: dict[str, float] = {}
        degraded: dict[str, float] = {}
        for name, amount in sums.items():
            what, _, rest = name.partition("/")
            if what == "answers":
                rung, _, level = rest.partition("/")
                answers[rung, level] = amount
            elif what == "confidence":
                confidence[rest] = amount
            elif what == "degraded":
                degraded[rest] = amount
        return cls(
            answers,
            confidence,
            degraded,
            {
                rung: Labelled(sums[f"feedback/{rung}/n"], sums.get(f"feedback/{rung}/right", 0.0))
                for rung in RUNGS
                if sums.get(f"feedback/{rung}/n", 0.0) > 0
            },
            Audited(*(sums.get(f"audit/{name}", 0.0) for name in ("n", "w", "w2", "loss"))),
        )

    def answered_by(self, rung: str) -> float:
        """Answers of one rung."""
        return sum(amount for (by, _), amount in self.answers.items() if by == rung)

    @property
    def total(self) -> float:
        """All answers."""
        return sum(self.answers.values())

    @property
    def by_loss_level(self) -> dict[str, float]:
        """Answers by the share of the image that a lossy link took."""
        levels: dict[str, float] = {}
        for (_, level), amount in self.answers.items():
            levels[level] = levels.get(level, 0.0) + amount
        return levels


@dataclass(frozen=True, slots=True)
class Pairs:
    """Images that both rungs answered and whose truth is known; which was better how often."""

    n: float
    edge_better: float
    dc_better: float

    @classmethod
    def read(cls, sums: Sums) -> Pairs:
        """From measures by name."""
        return cls(*(sums.get(f"pair/{name}", 0.0) for name in ("n", "edge", "dc")))


@dataclass(frozen=True)
class Bins:
    """What steers thresholds, by the edge's confidence: float64 [BINS] each.

    `requests` counts all, `compared` those whose data-center answer is known; `weight`,
    `edge_error` and `dc_error` are weighted sums over these.
    """

    requests: Floats
    compared: Floats
    weight: Floats
    edge_error: Floats
    dc_error: Floats

    @classmethod
    def read(cls, sums: Sums) -> Bins:
        """From measures by name."""
        return cls(
            *(
                np.array([sums.get(f"bin/{index}/{name}", 0.0) for index in range(BINS)])
                for name in ("n", "k", "w", "edge_loss", "dc_loss")
            )
        )


def add_up(parts: Iterable[Sums]) -> dict[str, float]:
    """Sums of sums."""
    total: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0.0) + amount
    return total
