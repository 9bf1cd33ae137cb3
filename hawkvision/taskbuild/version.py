"""Write one version of a task into a model repository; it appears only when whole."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hawkvision.calibration import CalibrationScores
from hawkvision.cascade import CascadePolicy
from hawkvision.errors import EngineError
from hawkvision.repository import (
    Numerics,
    References,
    Repository,
    Rung,
    Task,
    read_task,
    write_task,
)
from hawkvision.repository.onnx_graph import operators, read_model
from hawkvision.repository.task import Kind
from hawkvision.repository.weights import copy_model
from hawkvision.rungs import LoadedRung


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
    """Write `out/<name>/<next version>/`, opened as it will be served before it appears there.

    Raises RepositoryError or EngineError, and leaves nothing behind.
    """
    out.mkdir(parents=True, exist_ok=True)
    final = out / draft.name / next_version(out, draft.name)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out) as scratch:
        folder = Path(scratch) / draft.name / final.name
        folder.mkdir(parents=True)
        kept = []
        for rung, accuracy in zip(draft.rungs, _accuracies(draft.scores), strict=True):
            path = folder / f"{rung.name}.onnx"
            copy_model(rung.model.path, path)
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
        open_as_served(Path(scratch), draft.name, draft.numerics.engine)
        final.parent.mkdir(exist_ok=True)
        folder.rename(final)
    return read_task(final)


def open_as_served(root: Path, name: str, engine: str) -> None:
    """Open a task of the repository `root` as the agent and the gateway do: every file, every rung.

    Raises RepositoryError or EngineError where it would not serve, or not what was certified.
    """
    task = Repository(root).open(name)
    CascadePolicy(task.scores(), task.default_accuracy, tiers=task.tiers)
    for rung in task.rungs:
        reference = task.reference(rung.name)
        loaded = LoadedRung.open(rung, task.kind, engine=engine, reference=reference)
        loaded.close()
        if not loaded.agreement.agree:
            raise EngineError(
                f"rung {rung.name!r} answers otherwise from the repository than it did from "
                f"{rung.model.path.name}'s own folder",
                hint="Is the file being written to? Calibrate again.",
            )


def _accuracies(scores: CalibrationScores) -> list[float]:
    """Of each rung on intact images."""
    return [round(1 - float(loss), 4) for loss in scores.rung_loss[0].mean(axis=1)]


def _is_quantized(path: Path) -> bool:
    """Whether the graph holds int8 weights, by its operators."""
    return bool({"DequantizeLinear", "QLinearConv"} & operators(read_model(path)))


def next_version(root: Path, task: str) -> str:
    """One above the highest version number of `task` in the repository `root`."""
    if not root.is_dir():
        return "1"
    taken = [folder.name for folder in (root / task).glob("*") if folder.is_dir()]
    numbers = [int(name.split(".")[0]) for name in taken if name.split(".")[0].isdigit()]
    return str(max(numbers, default=0) + 1)
