"""Write one version of a task into a model repository; it appears only when whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hawkvision.calibration import CalibrationScores
from hawkvision.repository import Numerics, References, Rung, Task, read_task, write_task
from hawkvision.repository.task import Kind


@dataclass(frozen=True)
class Draft:
    """A version that is not written yet; its rungs' files still lie where the user keeps them."""

    name: str
    description: str
    kind: Kind
    rungs: Sequence[Rung]
    scores: CalibrationScores
    default_accuracy: float
    tiers: tuple[float, ...]
    references: References
    numerics: Numerics


def write_version(draft: Draft, out: Path) -> Task:
    """Write `out/<name>/<next version>/` and read it again. Raises RepositoryError."""
    parent = out / draft.name
    parent.mkdir(parents=True, exist_ok=True)
    final = parent / next_version(out, draft.name)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=parent) as scratch:
        folder = Path(scratch) / final.name
        folder.mkdir()
        kept = []
        for rung, accuracy in zip(draft.rungs, _accuracies(draft.scores), strict=True):
            path = folder / f"{rung.name}.onnx"
            shutil.copyfile(rung.model.path, path)
            measured = {"accuracy": accuracy, **rung.measured}
            precision = "int8" if _is_quantized(path) else rung.model.precision
            model = replace(rung.model, path=path, precision=precision)
            kept.append(replace(rung, model=model, measured=measured))
        draft.scores.save(folder / "calibration.npz")
        draft.references.save(folder / "references.npz")
        write_task(
            Task(
                name=draft.name,
                version=final.name,
                description=draft.description,
                kind=draft.kind,
                default_accuracy=draft.default_accuracy,
                rungs=tuple(kept),
                calibration=folder / "calibration.npz",
                calibration_sha256="",
                folder=folder,
                tiers=draft.tiers,
                numerics=replace(draft.numerics, references=folder / "references.npz"),
            )
        )
        read_task(folder)
        folder.rename(final)
    return read_task(final)


def _accuracies(scores: CalibrationScores) -> list[float]:
    """Of each rung on intact images."""
    return [round(1 - float(loss), 4) for loss in scores.rung_loss[0].mean(axis=1)]


def _is_quantized(path: Path) -> bool:
    """Whether the graph holds int8 weights, by the operator's name in the file."""
    data = path.read_bytes()
    return b"DequantizeLinear" in data or b"QLinearConv" in data


def next_version(root: Path, task: str) -> str:
    """One above the highest version number of `task` in the repository `root`."""
    if not root.is_dir():
        return "1"
    taken = [folder.name for folder in (root / task).glob("*") if folder.is_dir()]
    numbers = [int(name.split(".")[0]) for name in taken if name.split(".")[0].isdigit()]
    return str(max(numbers, default=0) + 1)
