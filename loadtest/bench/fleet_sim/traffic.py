"""What requests are: held-out images of a task's calibration, as its networks really answered them.

A drift is such images as a lossy link would show them, passed off as intact: the task's scores have
every rung's answers to these too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.calibration import CalibrationScores
from hawkvision.cascade.chain import of_chain
from hawkvision.errors import InvalidRequest
from hawkvision.images import decode
from hawkvision.repository import Task
from hawkvision.rungs import LoadedRung
from loadtest.traffic import TrafficImage

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Traffic:
    """Float64 [2, N], calm and drifted images: the edge's confidence, what each side errs, its
    error if the data center is believed, and the data center's confidence."""

    confidence: Floats
    edge_error: Floats
    dc_error: Floats
    edge_believed: Floats
    dc_believed: Floats
    dc_confidence: Floats

    @classmethod
    def of(cls, task: Task, lost: float) -> Traffic:
        """A task's, drifting to images of which the share `lost` was taken.

        Raises InvalidRequest where nothing was calibrated for that much.
        """
        scores = task.scores()
        level = scores.level_for(lost)
        if level is None:
            most = float(scores.loss_levels[-1])
            raise InvalidRequest(f"the drift is {lost:g}, and the task's scores end at {most:g}")
        levels = [0, level]
        confidence = scores.rung_confidence[:, 1:]
        dc_confidence = of_chain(confidence, confidence, task.thresholds[1:])[levels]
        dc_believed = 1.0 - dc_confidence.astype(np.float64)
        same = _same(scores)
        return cls(
            scores.rung_confidence[levels, 0].astype(np.float64),
            scores.edge_loss[levels].astype(np.float64),
            scores.dc_loss[levels].astype(np.float64),
            _believed(dc_believed, same[levels], 1.0 - scores.edge_loss[levels]),
            dc_believed,
            dc_confidence.astype(np.float64),
        )

    @classmethod
    def of_images(cls, task: Task, images: Sequence[TrafficImage]) -> Traffic:
        """What a task's rungs say of these images, which are not damaged: each is asked here.

        Raises EngineError, and DatasetError for a label that is not the task's.
        """
        kind = task.kind
        truths = [kind.truth(task.aliases.get(image.label, image.label)) for image in images]
        said = []
        for rung in task.rungs:
            loaded = LoadedRung.open(rung, kind)
            said.append([loaded.predict([loaded.fit(decode(one.data))])[0] for one in images])
            loaded.close()
        sure = np.array([[one.confidence for one in rung] for rung in said], np.float32)
        places = np.zeros(len(images), np.int64) + len(said) - 1
        for place in range(len(said) - 2, 0, -1):
            places[sure[place] >= task.thresholds[place]] = place
        dc = [said[place][number] for number, place in enumerate(places.tolist())]
        edge = said[0]
        rows = [
            sure[0],
            [kind.loss(one, truth) for one, truth in zip(edge, truths, strict=True)],
            [kind.loss(one, truth) for one, truth in zip(dc, truths, strict=True)],
            [kind.soft_loss(one, two) for one, two in zip(edge, dc, strict=True)],
            [kind.soft_loss(one, one) for one in dc],
            [one.confidence for one in dc],
        ]
        return cls(*(np.stack([np.array(row, np.float64)] * 2) for row in rows))

    def draw(self, rng: np.random.Generator, count: int, share: float) -> Integers:
        """Numbers of `count` images, of which each is a drifted one with probability `share`."""
        images = self.confidence.shape[1]
        drifted = rng.random(count) < share
        return np.asarray(rng.integers(images, size=count) + images * drifted)

    def expected(self, threshold: float, share: float) -> tuple[float, float]:
        """(accuracy, escalation rate) at a threshold, with so many drifted images."""
        local = self.confidence >= threshold
        error = np.where(local, self.edge_error, self.dc_error).mean(axis=1)
        escalated = 1.0 - local.mean(axis=1)
        weights = np.array([1 - share, share])
        return 1.0 - float(weights @ error), float(weights @ escalated)

    def needed(self, target: float, share: float) -> tuple[float, float]:
        """(accuracy, escalation rate) at the lowest threshold that keeps a target with so many
        drifted images; where none does, at the best."""
        grid = [*np.linspace(0.0, 1.0, 101), 1.01]
        found = [self.expected(threshold, share) for threshold in grid]
        kept = [one for one in found if one[0] >= target]
        return kept[0] if kept else max(found)


def _same(scores: CalibrationScores) -> npt.NDArray[np.bool_]:
    """[L, N]: whether both sides give the same answer, as far as the scores say."""
    if scores.items is None:
        return np.asarray(scores.edge_loss == scores.dc_loss)
    return np.asarray(scores.items.rung_class[:, 0] == scores.items.dc_class)


def _believed(
    dc: Floats, same: npt.NDArray[np.bool_], edge_right: npt.NDArray[np.float32]
) -> Floats:
    """The edge's error if the data center is believed, which erred by `dc` in its own opinion.

    The scores do not keep what probability the data center gives the edge's answer. Where both
    answer alike it is that of its own; else a part of the rest, such that on calm images the edge
    is believed as often as it is right.
    """
    rest = float(dc[0][~same[0]].sum())
    part = min(1.0, float(edge_right[0][~same[0]].sum()) / rest) if rest > 0 else 0.0
    return np.where(same, dc, 1.0 - part * dc)
