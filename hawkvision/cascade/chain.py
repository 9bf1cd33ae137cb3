"""Several rungs in the data center, from small to large: each hands on what it is unsure of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Classes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


def chain_classes(classes: Classes, confidence: Floats, thresholds: Sequence[float]) -> Classes:
    """Answers [..., N] of a chain whose rungs answer `classes` [..., R, N].

    `thresholds` are those of all rungs but the last, which answers whatever reaches it.
    """
    answer = classes[..., -1, :]
    for rung in range(classes.shape[-2] - 2, -1, -1):
        sure = confidence[..., rung, :] >= thresholds[rung]
        answer = np.where(sure, classes[..., rung, :], answer)
    return answer


def choose_chain(classes: Classes, confidence: Floats, labels: Classes) -> list[float]:
    """For all rungs but the last, the lowest threshold at which the chain loses no right answer.

    `classes` and `confidence` [R,N] on images that certify nothing. From the largest rung down;
    1.01 where a rung never helps.
    """
    thresholds = [1.01] * (len(classes) - 1)
    for rung in range(len(thresholds) - 1, -1, -1):
        rest = chain_classes(classes[rung + 1 :], confidence[rung + 1 :], thresholds[rung + 1 :])
        order = np.argsort(confidence[rung], kind="stable")[::-1]
        gain = (classes[rung] == labels).astype(int) - (rest == labels)
        total = np.cumsum(gain[order])
        harmful = np.flatnonzero(total < 0)
        kept = int(harmful[0]) if len(harmful) else len(order)
        if kept:
            thresholds[rung] = float(confidence[rung][order[kept - 1]])
    return thresholds
