"""From what the user says of a model, and what its file says, to how it is served."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hawkvision.datasets import LabelledImage
from hawkvision.engines import ModelSpec, open_engine
from hawkvision.errors import CalibrationError
from hawkvision.images import InputGeometry
from hawkvision.repository.task import Kind
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.inspect import ModelFacts
from hawkvision.taskbuild.runs import outputs_of
from hawkvision.taskbuild.sources import NORMALIZATIONS, ModelSource, Normalization
from hawkvision.taskbuild.trial import Trial, compare
from hawkvision.tasks import Outputs

_TRIAL_IMAGES = 200
_MOST_TRIAL_IMAGES = 1000


@dataclass(frozen=True, slots=True)
class RungPlan:
    """A model as it is going to be served; `normalizations` are those still to be tried."""

    name: str
    spec: ModelSpec
    geometry: InputGeometry
    normalizations: tuple[Normalization, ...]
    output_known: bool


def plan_rung(
    name: str, source: ModelSource, facts: ModelFacts, outputs: tuple[str, ...] = ()
) -> RungPlan:
    """Combine both; `outputs` are those that are read, none meaning the file's only one.

    Raises CalibrationError where the size is unknown or contradicts the file.
    """
    wanted = source.size
    width = facts.width or (wanted[0] if wanted else None)
    height = facts.height or (wanted[1] if wanted else None)
    if width is None or height is None:
        raise CalibrationError(
            f"{source.path.name} takes images of any size; say which it was trained for",
            hint=f"For example --edge {source.path.name},size=224.",
        )
    if wanted and wanted != (width, height):
        raise CalibrationError(
            f"{source.path.name} takes {width}x{height} px, not the {wanted[0]}x{wanted[1]} asked",
            hint="Leave size= out, or export the model for that size.",
        )
    spec = ModelSpec(
        source.path,
        facts.layout,
        facts.dtype,
        channels=source.channels or "RGB",
        outputs=outputs,
    )
    if facts.dtype == "uint8":
        if source.normalization is not None:
            raise CalibrationError(
                f"{source.path.name} takes uint8 pixels; normalize= does not apply",
                hint="Leave normalize=, mean= and std= out.",
            )
        choices: tuple[Normalization, ...] = (NORMALIZATIONS["pixels"],)
    elif source.normalization is not None:
        choices = (source.normalization,)
    else:
        choices = tuple(NORMALIZATIONS.values())
    geometry = InputGeometry(width, height, source.fit or "cover")
    return RungPlan(name, spec, geometry, choices, source.output is not None)


@dataclass(frozen=True, slots=True)
class FittedRung:
    """How a model is served: its file and input, and how its outputs are read."""

    name: str
    spec: ModelSpec
    geometry: InputGeometry
    head: Any

    def load(self, kind: Kind, engine: str) -> LoadedRung:
        """Open it. Raises EngineError."""
        opened = open_engine(self.spec, name=engine, threads=1)
        return LoadedRung(self.name, opened, self.geometry, kind, self.head)


@dataclass(frozen=True, slots=True)
class Fitting:
    """What rungs are fitted on: labelled images that decode, classes mixed, and who runs them."""

    kind: Kind
    images: Sequence[LabelledImage]
    truths: Sequence[Any]
    engine: str = "onnx"
    threads: int = 2


def fit_rung(
    plan: RungPlan, head: Any, fitting: Fitting
) -> tuple[FittedRung, list[Any], list[str], Trial | None]:
    """Find out what is not known yet.

    The rung, its predictions, notes on what was found, and how the normalisation was, where it was
    not given. Raises CalibrationError where the kind finds the model unfit for this data.
    """
    kind, notes = fitting.kind, []
    trial = None
    spec = _normalised(plan.spec, plan.normalizations[0])
    if len(plan.normalizations) > 1:
        trial = _trial(plan, head, fitting)
        by_name = {choice.name: choice for choice in plan.normalizations}
        spec = _normalised(plan.spec, by_name[trial.chosen])
        notes.append(str(trial))
    outputs = _run(plan, spec, head, fitting, fitting.images)
    if not plan.output_known:
        head = kind.recognise(outputs, head)
    head, note = kind.fit(outputs, head, fitting.truths, plan.name)
    predictions = kind.read(outputs, head, ())
    return FittedRung(plan.name, spec, plan.geometry, head), predictions, [*notes, note], trial


def _trial(plan: RungPlan, head: Any, fitting: Fitting) -> Trial:
    """Which normalisation errs least; the best two on more images where they are close."""
    choices = plan.normalizations
    for count in (_TRIAL_IMAGES, _MOST_TRIAL_IMAGES):
        images = fitting.images[:count]
        losses: dict[str, list[float]] = {}
        gaps: dict[str, float] = {}
        fault: CalibrationError | None = None
        for choice in choices:
            try:
                losses[choice.name], gaps[choice.name] = _tried(plan, choice, head, fitting, images)
            except CalibrationError as error:  # NaN: float16 may overflow under a wrong one
                fault = error
        if not losses:
            raise fault or CalibrationError(f"{plan.name} could not be tried")
        trial = compare(plan.name, losses, gaps)
        if trial.sure or count >= len(fitting.images):
            break
        choices = tuple(
            choice for choice in choices if choice.name in (trial.chosen, trial.runner_up)
        )
    return trial


def _normalised(spec: ModelSpec, choice: Normalization) -> ModelSpec:
    return replace(spec, mean=choice.mean, std=choice.std) if spec.dtype == "float32" else spec


def _tried(
    plan: RungPlan,
    choice: Normalization,
    head: Any,
    fitting: Fitting,
    images: Sequence[LabelledImage],
) -> tuple[list[float], float]:
    """Losses by image, and the mean square between calibrated confidence and being right."""
    kind, truths = fitting.kind, fitting.truths[: len(images)]
    outputs = _run(plan, _normalised(plan.spec, choice), head, fitting, images)
    if not plan.output_known:
        head = kind.recognise(outputs, head)
    with contextlib.suppress(CalibrationError):  # a wrong one may be no better than chance
        head, _ = kind.fit(outputs, head, truths, plan.name)
    predictions = kind.read(outputs, head, ())
    losses = [kind.loss(*pair) for pair in zip(predictions, truths, strict=True)]
    squares = [
        (one.confidence - 1 + loss) ** 2 for one, loss in zip(predictions, losses, strict=True)
    ]
    return losses, sum(squares) / len(squares)


def _run(
    plan: RungPlan, spec: ModelSpec, head: Any, fitting: Fitting, images: Sequence[LabelledImage]
) -> Outputs:
    rung = FittedRung(plan.name, spec, plan.geometry, head).load(fitting.kind, fitting.engine)
    try:
        return outputs_of(rung, images, fitting.threads)
    finally:
        rung.close()
