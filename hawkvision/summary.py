"""What a calibration says, in rows: for the report, the command line and the curve over HTTP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hawkvision.calibration import shown
from hawkvision.calibration.intervals import accuracy_interval, clopper_pearson_lower
from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade import Accuracy, CascadePolicy
from hawkvision.errors import TargetUnreachable
from hawkvision.repository.task import Task

_EPSILONS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
_MOST_IMAGES = 10_000_000


@dataclass(frozen=True, slots=True)
class TargetRow:
    """An accuracy target: what certifies it and what it costs, or why it is not certified.

    `accuracy` is that of the calibration images at the threshold; `images_needed` how many would
    certify the target if the models are as good as they look here (None: no number would).
    """

    target: float
    certified: bool
    threshold: float | None = None
    escalation_rate: float | None = None
    accuracy: float | None = None
    expected_ms: float | None = None
    kilobytes_up: float | None = None
    reason: str = ""
    images_needed: int | None = None


@dataclass(frozen=True, slots=True)
class RelativeRow:
    """A target "at most `epsilon` below the data center"; always certified."""

    epsilon: float
    threshold: float
    escalation_rate: float
    expected_ms: float
    kilobytes_up: float


@dataclass(frozen=True, slots=True)
class LevelRow:
    """A loss level, with or without an intact copy for the data center on escalation.

    `threshold` and `escalation_rate` are those of the default target; None where not certified.
    """

    loss: float
    intact_resend: bool
    edge_accuracy: float
    dc_accuracy: float
    highest_certifiable: float
    threshold: float | None
    escalation_rate: float | None


@dataclass(frozen=True, slots=True)
class AloneRow:
    """One model serving all images, for comparison."""

    name: str
    accuracy: float
    ci_low: float
    ci_high: float
    milliseconds: float
    memory_mb: float
    kilobytes: float
    kilobytes_up: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything in rows; `link_ms` is the round trip assumed for expected times."""

    task: str
    version: str
    delta: float
    images: int
    highest_certifiable: float
    default_accuracy: float
    tiers: tuple[float, ...]
    link_ms: float
    mean_image_bytes: float
    targets: tuple[TargetRow, ...]
    relative: tuple[RelativeRow, ...]
    levels: tuple[LevelRow, ...]
    alone: tuple[AloneRow, ...]

    def over_link(self, link_ms: float) -> Summary:
        """The same with another round trip, which only what escalates pays for."""
        longer = link_ms - self.link_ms

        def expected(row: Row) -> Row:
            if row.expected_ms is None or row.escalation_rate is None:
                return row
            return replace(row, expected_ms=row.expected_ms + row.escalation_rate * longer)

        return replace(
            self,
            link_ms=link_ms,
            targets=tuple(expected(row) for row in self.targets),
            relative=tuple(expected(row) for row in self.relative),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


Row = TypeVar("Row", TargetRow, RelativeRow)


class _Costs:
    """Expected time and bytes of a request at a threshold."""

    def __init__(self, task: Task, scores: CalibrationScores, link_ms: float) -> None:
        self._confidence = scores.confidence
        self._bytes = scores.image_bytes
        self._edge_ms = _ms(task.rungs[0].measured)
        self.dc_ms = 0.0
        reaching = np.ones(len(scores), bool)
        for index, rung in enumerate(task.rungs[1:], 1):
            self.dc_ms += float(reaching.mean()) * _ms(rung.measured)
            if rung.threshold is not None:
                reaching &= scores.rung_confidence[0, index] < rung.threshold
        self._up_ms = self.dc_ms + link_ms

    def at(self, threshold: float) -> tuple[float, float]:
        """(mean ms, mean kB up) of a request."""
        up: npt.NDArray[np.bool_] = self._confidence < threshold
        milliseconds = self._edge_ms + float(up.mean()) * self._up_ms
        return milliseconds, float(self._bytes[up].sum()) / len(up) / 1000


def _ms(measured: Mapping[str, float]) -> float:
    return measured.get("milliseconds", 0.0)


def images_needed(target: float, accuracy: float, delta: float) -> int | None:
    """Calibration images that would certify `target` at this accuracy; None if none would."""

    def enough(images: int) -> bool:
        right = np.array([accuracy * images])
        return bool(clopper_pearson_lower(right, images, delta)[0] >= target)

    if accuracy <= target:
        return None
    high = 20
    while not enough(high):
        high *= 2
        if high > _MOST_IMAGES:
            return None
    low = high // 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def offered_targets(scores: CalibrationScores, extra: Sequence[float]) -> list[float]:
    """Whole percents from below the edge's accuracy to above the data center's, and `extra`."""
    edge = scores.edge_accuracy()
    best = max(edge, scores.dc_accuracy())
    low = max(1, math.floor(edge * 100) - 8)
    high = min(99, math.ceil(best * 100) + 1)
    return sorted({percent / 100 for percent in range(low, high + 1)} | set(extra))


def summarise_task(
    task: Task, scores: CalibrationScores, *, delta: float = 0.05, link_ms: float = 20.0
) -> Summary:
    """All rows of a task at a risk `delta`."""
    policy = CascadePolicy(scores, task.default_accuracy, delta=delta, tiers=task.tiers)
    costs = _Costs(task, scores, link_ms)
    offered = offered_targets(scores, (*task.tiers, policy.default_accuracy))
    relative = []
    for epsilon in _EPSILONS:
        index = policy.relative.index_for(epsilon)
        threshold = float(policy.relative.thresholds[index])
        rate = float(policy.relative.escalation_rate[index])
        relative.append(RelativeRow(epsilon, threshold, rate, *costs.at(threshold)))
    return Summary(
        task=task.name,
        version=task.version,
        delta=delta,
        images=len(scores),
        highest_certifiable=policy.highest_certifiable,
        default_accuracy=policy.default_accuracy,
        tiers=task.tiers,
        link_ms=link_ms,
        mean_image_bytes=float(scores.image_bytes.mean()),
        targets=tuple(_target(target, policy, scores, costs) for target in offered),
        relative=tuple(relative),
        levels=tuple(_levels(scores, policy.delta, policy.default_accuracy)),
        alone=tuple(_alone(task, scores)),
    )


def _target(
    target: float, policy: CascadePolicy, scores: CalibrationScores, costs: _Costs
) -> TargetRow:
    dc = scores.dc_accuracy()
    try:
        found = policy.resolve(Accuracy(target))
    except TargetUnreachable:
        needed = images_needed(target, dc, policy.delta)
        reason = (
            f"the data center itself is right on {shown.lower_percent(dc)}"
            if needed is None
            else f"needs about {needed} images"
        )
        return TargetRow(target, certified=False, reason=reason, images_needed=needed)
    return TargetRow(
        target,
        True,
        found.threshold,
        found.expected_escalation_rate,
        1 - float(scores.cascade_loss(found.threshold).mean()),
        *costs.at(found.threshold),
    )


def _levels(scores: CalibrationScores, delta: float, default: float) -> list[LevelRow]:
    rows = []
    for level, loss in enumerate(scores.loss_levels):
        for intact in (False, True) if level else (False,):
            curve = scores.curve(delta, level=level, intact_resend=intact)
            certified = default <= curve.highest_certifiable
            index = curve.index_for(default) if certified else None
            rows.append(
                LevelRow(
                    loss=float(loss),
                    intact_resend=intact,
                    edge_accuracy=scores.edge_accuracy(level),
                    dc_accuracy=scores.dc_accuracy(0 if intact else level),
                    highest_certifiable=curve.highest_certifiable,
                    threshold=None if index is None else float(curve.thresholds[index]),
                    escalation_rate=None if index is None else float(curve.escalation_rate[index]),
                )
            )
    return rows


def _alone(task: Task, scores: CalibrationScores) -> list[AloneRow]:
    rows = []
    for index, rung in enumerate(task.rungs):
        loss = scores.rung_loss[0, index]
        low, high = accuracy_interval(loss, binary=scores.binary)
        rows.append(
            AloneRow(
                name=rung.name,
                accuracy=1 - float(loss.mean(dtype=np.float64)),
                ci_low=low,
                ci_high=high,
                milliseconds=_ms(rung.measured),
                memory_mb=rung.measured.get("memory_mb", 0.0),
                kilobytes=rung.measured.get("kilobytes", 0.0),
                kilobytes_up=0.0 if index == 0 else float(scores.image_bytes.mean()) / 1000,
            )
        )
    return rows
