"""Several rungs in the data center, from small to large: each hands on what it is unsure of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

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
