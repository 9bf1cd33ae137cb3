"""The rungs above the first, from small to large: each hands on what it is unsure of.

What such a chain answers does not depend on where its rungs run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.scores import CalibrationScores

Floats = npt.NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)


def of_chain(
    values: npt.NDArray[Scalar], confidence: Floats, thresholds: Sequence[float]
) -> npt.NDArray[Scalar]:
    """What a chain gives [..., N] where its rungs give `values` [..., R, N] (losses, say).

    `confidence` [..., R, N]; `thresholds` are those of all rungs but the last, which answers
    whatever reaches it.
    """
    answer = values[..., -1, :]
    for rung in range(values.shape[-2] - 2, -1, -1):
        sure = confidence[..., rung, :] >= thresholds[rung]
        answer = np.where(sure, values[..., rung, :], answer)
    return answer


def with_chain(
    scores: CalibrationScores, rungs: Sequence[int], thresholds: Sequence[float]
) -> CalibrationScores:
    """The same images, where a chain of these rungs answers what the first one hands on.

    `rungs` are places from 1 up, rising, the last of which answers all that reaches it;
    `thresholds` are by place.
    """
    places, bars = list(rungs), [thresholds[rung] for rung in rungs[:-1]]
    confidence = scores.rung_confidence[:, places]
    items = scores.items
    if items is not None:
        answers = of_chain(items.rung_class[:, places], confidence, bars)
        items = replace(items, dc_class=answers)
    loss = of_chain(scores.rung_loss[:, places], confidence, bars)
    return replace(scores, dc_loss=loss, items=items)


def reached(
    scores: CalibrationScores, threshold: float, thresholds: Sequence[float]
) -> list[float]:
    """The share of intact images that comes to each rung.

    `threshold` is the first rung's, `thresholds` by place those of the others.
    """
    here = np.ones(len(scores), bool)
    shares = []
    for place, confidence in enumerate(scores.rung_confidence[0]):
        shares.append(float(here.mean()))
        here &= confidence < (threshold if place == 0 else thresholds[place])
    return shares


def stand_ins(scores: CalibrationScores, threshold: float) -> list[bool]:
    """By place, whether a rung errs less than the first one on the images that this hands on.

    Intact images below the first rung's `threshold`; all, where there are none.
    """
    handed = scores.confidence < threshold
    if not handed.any():
        handed[:] = True
    losses = scores.rung_loss[0][:, handed].mean(axis=1, dtype=np.float64)
    return [bool(loss < losses[0]) for loss in losses]


def choose_chain(losses: Floats, confidence: Floats) -> list[float]:
    """For all rungs but the last, the lowest threshold at which the chain loses nothing.

    `losses` and `confidence` [R,N] on images that certify nothing. From the largest rung down;
    1.01 where a rung never helps.
    """
    thresholds = [1.01] * (len(losses) - 1)
    for rung in range(len(thresholds) - 1, -1, -1):
        rest = of_chain(losses[rung + 1 :], confidence[rung + 1 :], thresholds[rung + 1 :])
        order = np.argsort(confidence[rung], kind="stable")[::-1]
        gain = rest.astype(np.float64) - losses[rung]
        total = np.cumsum(gain[order])
        harmful = np.flatnonzero(total < -1e-9)
        kept = int(harmful[0]) if len(harmful) else len(order)
        if kept:
            thresholds[rung] = float(confidence[rung][order[kept - 1]])
    return thresholds
