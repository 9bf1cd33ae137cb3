"""Held-out answers of every rung, kept with a task so that any target can be computed later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.curve import LowerConfidenceCurve, lower_confidence_curve
from hawkvision.errors import RepositoryError

Classes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class CalibrationScores:
    """One row per held-out image, drawn from the task's traffic and unseen in training.

    `confidence` float32 [N] (edge rung, temperature-scaled), `label`, `edge_class` and
    `dc_class` int32 [N] as indices into the task's labels.
    """

    confidence: npt.NDArray[np.float32]
    label: Classes
    edge_class: Classes
    dc_class: Classes

    def __len__(self) -> int:
        return len(self.label)

    def curve(self, delta: float = 0.05) -> LowerConfidenceCurve:
        """The lower-confidence curve of the two-rung cascade."""
        return lower_confidence_curve(
            self.confidence, self.edge_class == self.label, self.dc_class == self.label, delta=delta
        )

    def save(self, path: Path) -> None:
        """Write as a compressed `.npz`, without pickles."""
        np.savez_compressed(
            path,
            confidence=self.confidence,
            label=self.label,
            edge_class=self.edge_class,
            dc_class=self.dc_class,
        )

    @classmethod
    def load(cls, path: Path) -> CalibrationScores:
        """Read what `save` wrote. Raises RepositoryError for a damaged file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(
                    confidence=arrays["confidence"].astype(np.float32),
                    label=arrays["label"].astype(np.int32),
                    edge_class=arrays["edge_class"].astype(np.int32),
                    dc_class=arrays["dc_class"].astype(np.int32),
                )
        except (OSError, KeyError, ValueError) as error:
            raise RepositoryError(
                f"{path.name} is not a calibration file: {error}",
                hint="Calibrate the task again.",
            ) from error
