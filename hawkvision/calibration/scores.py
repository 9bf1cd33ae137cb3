"""Held-out answers of every rung, kept with a task so that any target can be computed later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.curve import (
    LowerConfidenceCurve,
    check_losses,
    lower_confidence_curve,
)
from hawkvision.calibration.relative import RelativeCurve, relative_curve
from hawkvision.errors import CalibrationError, RepositoryError

Integers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
LossesOf = Callable[[Integers, Integers], Floats]
"""Losses [..., N] of items [..., N] against the true ones [N]; see `tasks.Itemised`."""

_FLOATS = ("rung_loss", "dc_loss", "rung_confidence", "rung_raw_confidence")


@dataclass(frozen=True)
class Items:
    """Answers and truths as numbered items, for tables by item, of kinds that have such.

    `label` int32 [N] is the truth, `rung_class` int32 [L,R,N] what each rung answered, `dc_class`
    int32 [L,N] what the data center answers as a whole.
    """

    label: Integers
    rung_class: Integers
    dc_class: Integers


@dataclass(frozen=True)
class CalibrationScores:
    """One column per held-out image, drawn from the task's traffic and unseen in training.

    N images, R rungs from small to large, L loss levels, the first of which is 0 (intact):
    `rung_loss` float32 [L,R,N] says how wrong each rung is, in [0, 1]; `dc_loss` float32 [L,N] how
    wrong the data center is (one rung, or several in a chain); `rung_confidence` float32 [L,R,N]
    is calibrated, `rung_raw_confidence` [R,N] is not; `loss_levels` float64 [L] are shares of the
    image that did not arrive; `image_bytes` int32 [N] are encoded sizes. With `binary` the losses
    are 0 or 1 by nature.
    """

    rung_loss: Floats
    dc_loss: Floats
    rung_confidence: Floats
    rung_raw_confidence: Floats
    loss_levels: npt.NDArray[np.float64]
    image_bytes: Integers
    binary: bool
    items: Items | None = field(default=None)

    def __post_init__(self) -> None:
        levels, rungs, images = self.rung_loss.shape
        expected = {
            "rung_confidence": (levels, rungs, images),
            "rung_raw_confidence": (rungs, images),
            "dc_loss": (levels, images),
            "loss_levels": (levels,),
            "image_bytes": (images,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise CalibrationError(
                    f"scores: {name} has shape {getattr(self, name).shape}, not {shape}"
                )
        if self.items is not None and (
            self.items.label.shape != (images,)
            or self.items.rung_class.shape != self.rung_loss.shape
            or self.items.dc_class.shape != self.dc_loss.shape
        ):
            raise CalibrationError("scores: the items are not of these images and rungs")
        steps = np.diff(self.loss_levels)
        if rungs < 2 or self.loss_levels[0] != 0 or (steps <= 0).any():
            raise CalibrationError("scores need two rungs, and loss levels that rise from 0")
        check_losses(
            self.rung_loss.astype(np.float64), self.dc_loss.astype(np.float64), binary=self.binary
        )

    def __len__(self) -> int:
        return len(self.image_bytes)

    @property
    def confidence(self) -> Floats:
        """The edge rung's confidence on intact images, float32 [N]."""
        return np.asarray(self.rung_confidence[0, 0])

    @property
    def edge_loss(self) -> Floats:
        """How wrong the edge is, by loss level: float32 [L,N]."""
        return np.asarray(self.rung_loss[:, 0])

    def edge_accuracy(self, level: int = 0) -> float:
        """One minus the edge's mean loss at a loss level."""
        return 1 - float(self.edge_loss[level].mean(dtype=np.float64))

    def dc_accuracy(self, level: int = 0) -> float:
        """One minus the data center's mean loss at a loss level."""
        return 1 - float(self.dc_loss[level].mean(dtype=np.float64))

    def cascade_loss(self, threshold: float) -> Floats:
        """How wrong the cascade is on each intact image at a threshold, float32 [N]."""
        local = self.confidence >= threshold
        return np.asarray(np.where(local, self.edge_loss[0], self.dc_loss[0]), np.float32)

    def below(self, upper: CalibrationScores, rungs: int = 1) -> CalibrationScores:
        """These of the first `rungs`, `upper`'s of the others: other networks, the same images.

        What the data center answers as a whole stays `upper`'s; with more rungs of ours than one
        see `cascade.chain.with_chain`. Raises CalibrationError where the images, their order or the
        loss levels differ.
        """
        same = (
            np.array_equal(self.image_bytes, upper.image_bytes)
            and np.array_equal(self.loss_levels, upper.loss_levels)
            and self.rung_loss.shape == upper.rung_loss.shape
            and (self.items is None) == (upper.items is None)
        )
        items = None
        if same and self.items is not None and upper.items is not None:
            same = np.array_equal(self.items.label, upper.items.label)
            rung_class = _edge_over(self.items.rung_class, upper.items.rung_class, rungs)
            items = Items(self.items.label, rung_class, upper.items.dc_class)
        if not same:
            raise CalibrationError(
                "the scores are not of the same images",
                hint="Calibrate both on the same images, at the same loss levels.",
            )
        raw = _edge_over(self.rung_raw_confidence[None], upper.rung_raw_confidence[None], rungs)[0]
        return CalibrationScores(
            rung_loss=_edge_over(self.rung_loss, upper.rung_loss, rungs),
            dc_loss=upper.dc_loss,
            rung_confidence=_edge_over(self.rung_confidence, upper.rung_confidence, rungs),
            rung_raw_confidence=raw,
            loss_levels=self.loss_levels,
            image_bytes=self.image_bytes,
            binary=self.binary,
            items=items,
        )

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
            self.edge_loss[level],
            self.dc_loss[0 if intact_resend else level],
            binary=self.binary,
            delta=delta,
        )

    def relative_curve(
        self, delta: float = 0.05, *, level: int = 0, intact_resend: bool = False
    ) -> RelativeCurve:
        """As `curve`, for targets relative to the data center's accuracy."""
        return relative_curve(
            self.rung_confidence[level, 0],
            self.edge_loss[level],
            self.dc_loss[0 if intact_resend else level],
            delta=delta,
        )

    def save(self, path: Path) -> None:
        """Write as a compressed `.npz`, without pickles.

        Losses that follow from items are not written: the items say the same in less room.
        """
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "rung_confidence": self.rung_confidence,
            "rung_raw_confidence": self.rung_raw_confidence,
            "loss_levels": self.loss_levels,
            "image_bytes": self.image_bytes,
        }
        if self.items is None:
            arrays |= {"rung_loss": self.rung_loss, "dc_loss": self.dc_loss}
        else:
            arrays |= {
                "label": self.items.label,
                "rung_class": self.items.rung_class,
                "dc_class": self.items.dc_class,
            }
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(
        cls, path: Path, *, binary: bool, losses_of: LossesOf | None = None
    ) -> CalibrationScores:
        """Read what `save` wrote; `losses_of` makes losses of items.

        Raises RepositoryError for a damaged file.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return cls._from(dict(file), binary, losses_of)
        except (OSError, KeyError, ValueError, IndexError, BadZipFile, CalibrationError) as error:
            raise RepositoryError(
                f"{path.name} is not a calibration file: {error}",
                hint="Calibrate the task again.",
            ) from error

    @classmethod
    def _from(
        cls,
        arrays: Mapping[str, npt.NDArray[np.generic]],
        binary: bool,
        losses_of: LossesOf | None,
    ) -> CalibrationScores:
        found = dict(arrays)
        items = None
        if losses_of is not None and "label" in found:
            items = Items(
                *(found[name].astype(np.int32) for name in ("label", "rung_class", "dc_class"))
            )
            found["rung_loss"] = losses_of(items.rung_class, items.label)
            found["dc_loss"] = losses_of(items.dc_class, items.label)
        floats = {name: found[name].astype(np.float32) for name in _FLOATS}
        return cls(
            **floats,
            loss_levels=found["loss_levels"].astype(np.float64),
            image_bytes=found["image_bytes"].astype(np.int32),
            binary=binary,
            items=items,
        )


def _edge_over(edge: npt.NDArray[Any], upper: npt.NDArray[Any], rungs: int) -> npt.NDArray[Any]:
    """The first rungs of one [L,R,N], the others of another."""
    return np.concatenate([edge[:, :rungs], upper[:, rungs:]], axis=1)
