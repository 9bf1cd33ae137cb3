"""Reference images with each rung's answers: what shows whether an engine is the certified one.

Two correct engines need not agree to the bit. A quantized network may round an activation the
other way, and a few probabilities move. How far they move between two ways of computing the same
file with the certifying engine is measured when a task is calibrated; an engine that stays within
twice that, or within a hundredth, counts as the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile
from zlib import crc32

import numpy as np
import numpy.typing as npt

from hawkvision.errors import RepositoryError
from hawkvision.tasks import Outputs

Pixels = npt.NDArray[np.uint8]
LEAST_TOLERANCE = 0.01
_TIMES_SPREAD = 2.0


@dataclass(frozen=True)
class RungReference:
    """One rung: its inputs uint8 [M,H,W,3], what the kind encoded of its answers, and a tolerance.

    The tolerance is on `deviation`.
    """

    pixels: Pixels
    answers: Outputs
    tolerance: float

    def deviation(self, answers: Outputs) -> float:
        """How far other answers to the same images are, in the unit of the answers.

        The root mean square over the images of the largest difference in each; infinite for
        answers of another shape, or with NaN.
        """
        return deviation(self.answers, answers)


def deviation(one: Outputs, other: Outputs) -> float:
    """See `RungReference.deviation`."""
    worst = 0.0
    for name, wanted in one.items():
        found = other.get(name)
        if found is None or found.shape != wanted.shape or not np.isfinite(found).all():
            return float("inf")
        gap = np.abs(found.astype(np.float64) - wanted).reshape(len(wanted), -1).max(axis=1)
        worst = max(worst, float(np.sqrt((gap**2).mean())))
    return worst


def tolerance_of(spread: float) -> float:
    """The tolerance that follows from how far the certifying engine differs from itself."""
    return max(LEAST_TOLERANCE, _TIMES_SPREAD * spread)


@dataclass(frozen=True)
class References:
    """The reference images of a task, by rung."""

    rungs: Mapping[str, RungReference]

    def of_flavour(self, flavour: str) -> References:
        """Those of one flavour of the task; a rung without any there keeps its plain ones.

        Flavours share pixels, so they share a file: `edge@tensorrt` stands beside `edge`.
        """
        plain = {name: rung for name, rung in self.rungs.items() if "@" not in name}
        own = {name: self.rungs.get(f"{name}@{flavour}", rung) for name, rung in plain.items()}
        return References(own)

    def without(self, names: Collection[str]) -> References:
        """Those of all other rungs."""
        return References({name: rung for name, rung in self.rungs.items() if name not in names})

    def with_flavour(self, flavour: str, other: References) -> References:
        """These, and those of one more flavour."""
        return References(
            {**self.rungs, **{f"{name}@{flavour}": rung for name, rung in other.rungs.items()}}
        )

    def save(self, path: Path) -> None:
        """Write as a compressed `.npz` without pickles; equal pixels are written once."""
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for name, rung in self.rungs.items():
            key = np.uint32(crc32(rung.pixels.tobytes()))
            arrays[f"pixels/{key:08x}"] = rung.pixels
            arrays[f"images/{name}"] = np.asarray(key)
            arrays[f"tolerance/{name}"] = np.asarray(rung.tolerance)
            for output, value in rung.answers.items():
                arrays[f"answers/{name}/{output}"] = value
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> References:
        """Read what `save` wrote. Raises RepositoryError for a damaged file."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = dict(file)
            names = [key.removeprefix("images/") for key in arrays if key.startswith("images/")]
            return cls({name: _rung(arrays, name) for name in names})
        except (OSError, KeyError, ValueError, IndexError, TypeError, BadZipFile) as error:
            raise RepositoryError(
                f"{path.name} holds no reference images: {error}", hint="Calibrate the task again."
            ) from error


def _rung(arrays: Mapping[str, npt.NDArray[np.generic]], name: str) -> RungReference:
    start = f"answers/{name}/"
    return RungReference(
        pixels=arrays[f"pixels/{int(arrays[f'images/{name}']):08x}"].astype(np.uint8),
        answers={
            key.removeprefix(start): value.astype(np.float32)
            for key, value in arrays.items()
            if key.startswith(start)
        },
        tolerance=float(arrays[f"tolerance/{name}"]),
    )
