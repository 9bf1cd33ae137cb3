"""A stranger's model beside a large one: planned, fitted, built and opened as it is served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from hawkvision.datasets import LabelledSet
from hawkvision.repository import Repository
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.build import BuildRequest, Built, Progress, build_task, readable
from hawkvision.taskbuild.fitting import FittedRung, Fitting, fit_rung
from hawkvision.taskbuild.planning import TaskPlan, plan_task
from hawkvision.taskbuild.sources import ModelSource, parse_source
from hawkvision.taskbuild.trial import Trial
from tests.models import LABELS, SIDE, classifier
from tests.taskbuild.strangers import photos


def source(folder: Path, model: onnx.ModelProto, more: str = "", name: str = "m") -> ModelSource:
    onnx.save(model, folder / f"{name}.onnx")
    (folder / "labels.txt").write_text("\n".join(LABELS))
    labels = "" if "labels=" in more else f",labels={folder}/labels.txt"
    return parse_source(f"{folder}/{name}.onnx,fit=stretch{labels}{more}")


def build(edge: ModelSource, folder: Path, dc: ModelSource, images: LabelledSet) -> Built:
    request = BuildRequest("colours", (edge, dc), images, loss_levels=(0.0,))
    return build_task(request, folder / "tasks", Progress())


@dataclass(frozen=True)
class Fitted:
    """An edge model, planned beside a large one and fitted."""

    plan: TaskPlan
    rung: FittedRung
    accuracy: float
    confidences: int
    trial: Trial | None

    @property
    def labels(self) -> tuple[str, ...]:
        return self.plan.kind.labels


def fitted(
    edge: ModelSource,
    folder: Path,
    *,
    images: LabelledSet | None = None,
    dc: ModelSource | None = None,
    restrict: bool = False,
) -> Fitted:
    """As `build`, without certifying."""
    large = dc or source(folder, classifier(SIDE), name="large")
    found = photos(100) if images is None else images
    models, scratch = [edge, large], folder / "scratch"
    plan = plan_task(
        "classification", ["edge", "dc"], models, found, {}, scratch, restrict=restrict
    )
    kept = readable(found)
    held = Fitting(plan.kind, kept, [plan.kind.truth(image.label) for image in kept])
    rung, predictions, _, trial = fit_rung(plan.rungs[0], plan.heads[0], held)
    losses = [plan.kind.loss(*pair) for pair in zip(predictions, held.truths, strict=True)]
    confidences = {prediction.confidence for prediction in predictions}
    return Fitted(plan, rung, 1 - float(np.mean(losses)), len(confidences), trial)


def serves(built: Built) -> None:
    """The written version opens as a service does, without the files that it was made from."""
    task = Repository(built.task.folder.parent.parent).open("colours")
    for rung in task.rungs:
        loaded = LoadedRung.open(rung, task.kind, reference=task.reference(rung.name))
        assert loaded.agreement.agree
        loaded.close()
