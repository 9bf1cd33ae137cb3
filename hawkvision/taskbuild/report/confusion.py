"""Which classes are taken for which, at the default target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hawkvision.calibration import CalibrationScores

MOST_CLASSES = 20
"""A larger matrix is read by nobody; its largest mistakes are listed all the same."""

_LISTED = 12


@dataclass(frozen=True, slots=True)
class Mistake:
    """`count` images of `truth` were answered with `answer`, a share of that class's images."""

    truth: str
    answer: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """`rows` hold, for each label, the share of its images by answer; empty for many classes."""

    labels: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    mistakes: tuple[Mistake, ...]


def confusion(
    scores: CalibrationScores, labels: Sequence[str], threshold: float
) -> Confusion | None:
    """Of the cascade's answers at a threshold; None for kinds without numbered items."""
    items = scores.items
    if items is None or not labels:
        return None
    local = scores.confidence >= threshold
    answer = np.where(local, items.rung_class[0, 0], items.dc_class[0])
    size = len(labels)
    pairs, counts = np.unique(items.label.astype(np.int64) * size + answer, return_counts=True)
    of_class = np.bincount(items.label, minlength=size)
    wrong = [
        Mistake(
            labels[pair // size], labels[pair % size], int(count), count / of_class[pair // size]
        )
        for pair, count in zip(pairs.tolist(), counts, strict=True)
        if pair // size != pair % size
    ]
    wrong.sort(key=lambda one: (-one.count, one.truth, one.answer))
    rows: tuple[tuple[float, ...], ...] = ()
    if size <= MOST_CLASSES:
        matrix = np.zeros(size * size)
        matrix[pairs] = counts
        shares = matrix.reshape(size, size) / np.maximum(of_class, 1)[:, None]
        rows = tuple(tuple(row) for row in shares.tolist())
    return Confusion(tuple(labels), rows, tuple(wrong[:_LISTED]))
