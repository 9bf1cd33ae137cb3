"""Held-out answers of every rung, kept with a task so that any target can be computed later."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.curve import LowerConfidenceCurve, lower_confidence_curve
from hawkvision.calibration.relative import RelativeCurve, relative_curve
from hawkvision.errors import CalibrationError, RepositoryError

Classes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_TYPES = {
    "label": np.int32,
    "rung_class": np.int32,
    "rung_confidence": np.float32,
    "rung_raw_confidence": np.float32,
    "dc_class": np.int32,
    "loss_levels": np.float64,
    "image_bytes": np.int32,
}


@dataclass(frozen=True)
class CalibrationScores:
    """One column per held-out image, drawn from the task's traffic and unseen in training.

    N images, R rungs from small to large, L loss levels, the first of which is 0 (intact):
    `label` int32 [N] and `rung_class` int32 [L,R,N] are indices into the task's labels;
    `rung_confidence` float32 [L,R,N] is temperature-scaled, `rung_raw_confidence` [R,N] is not;
    `dc_class` int32 [L,N] is what the data center answers (one rung, or several in a chain);
    `loss_levels` float64 [L] are shares of the image that did not arrive; `image_bytes` int32 [N]
    are encoded sizes.
    """

    label: Classes
    rung_class: Classes
    rung_confidence: Floats
    rung_raw_confidence: Floats
    dc_class: Classes
    loss_levels: npt.NDArray[np.float64]
    image_bytes: Classes

    def __post_init__(self) -> None:
        levels, rungs, images = self.rung_class.shape
        expected = {
            "label": (images,),
            "rung_confidence": (levels, rungs, images),
            "rung_raw_confidence": (rungs, images),
            "dc_class": (levels, images),
            "loss_levels": (levels,),
            "image_bytes": (images,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise CalibrationError(
                    f"scores: {name} has shape {getattr(self, name).shape}, not {shape}"
                )
        steps = np.diff(self.loss_levels)
        if rungs < 2 or self.loss_levels[0] != 0 or (steps <= 0).any():
            raise CalibrationError("scores need two rungs, and loss levels that rise from 0")

    def __len__(self) -> int:
        return len(self.label)

    @property
    def confidence(self) -> Floats:
        """The edge rung's confidence on intact images, float32 [N]."""
        return np.asarray(self.rung_confidence[0, 0])

    @cached_property
    def edge_correct(self) -> Bools:
        """Whether the edge is right, by loss level: bool [L,N]."""
        return np.asarray(self.rung_class[:, 0] == self.label)

    @cached_property
    def dc_correct(self) -> Bools:
        """Whether the data center is right, by loss level: bool [L,N]."""
        return np.asarray(self.dc_class == self.label)

    def level_for(self, lost_fraction: float) -> int | None:
        """The index of the level that covers this share lost; None beyond the last one."""
        level = int(np.searchsorted(self.loss_levels, lost_fraction - 1e-9))
        return level if level < len(self.loss_levels) else None

    def curve(
        self, delta: float = 0.05, *, level: int = 0, intact_resend: bool = False
    ) -> LowerConfidenceCurve:
        """The lower-confidence curve of the cascade for images damaged at a loss level.

        With `intact_resend`, an image that escalates reaches the data center whole.
        """
        return lower_confidence_curve(
            self.rung_confidence[level, 0],
            self.edge_correct[level],
            self.dc_correct[0 if intact_resend else level],
            delta=delta,
        )

    def relative_curve(
        self, delta: float = 0.05, *, level: int = 0, intact_resend: bool = False
    ) -> RelativeCurve:
        """As `curve`, for targets relative to the data center's accuracy."""
        return relative_curve(
            self.rung_confidence[level, 0],
            self.edge_correct[level],
            self.dc_correct[0 if intact_resend else level],
            delta=delta,
        )

    def save(self, path: Path) -> None:
        """Write as a compressed `.npz`, without pickles."""
        np.savez_compressed(
            path, **{field.name: getattr(self, field.name) for field in fields(self)}
        )

    @classmethod
    def load(cls, path: Path) -> CalibrationScores:
        """Read what `save` wrote. Raises RepositoryError for a damaged file."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                return cls(**{name: arrays[name].astype(kind) for name, kind in _TYPES.items()})
        except (OSError, KeyError, ValueError, IndexError, BadZipFile, CalibrationError) as error:
            raise RepositoryError(
                f"{path.name} is not a calibration file: {error}",
                hint="Calibrate the task again.",
            ) from error
