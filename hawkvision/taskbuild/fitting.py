"""From what the user says of a model, and what its file says, to how it is served."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hawkvision.datasets import LabelledImage
from hawkvision.engines import ModelSpec, open_engine
from hawkvision.engines.base import Dtype
from hawkvision.errors import CalibrationError
from hawkvision.images import InputGeometry
from hawkvision.repository.task import Kind
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.inspect import ModelFacts
from hawkvision.taskbuild.rows import readings, take_images
from hawkvision.taskbuild.runs import outputs_of
from hawkvision.taskbuild.sources import NORMALIZATIONS, ModelSource, Normalization
from hawkvision.taskbuild.trial import BOTH, LAYOUT, NORMALIZATION, Trial, compare
from hawkvision.tasks import Outputs

_TRIAL_IMAGES = 200
_MOST_TRIAL_IMAGES = 1000


@dataclass(frozen=True, slots=True)
class Feeding:
    """A way to feed a model that may be the right one, by what it is called among the others."""

    name: str
    spec: ModelSpec
    geometry: InputGeometry


@dataclass(frozen=True, slots=True)
class RungPlan:
    """A model as it is going to be served; of several `feedings` the best is to be found.

    `tried` is what they differ in, as `Trial.what`.
    """

    name: str
    feedings: tuple[Feeding, ...]
    output_known: bool
    tried: str = NORMALIZATION

    @property
    def dtype(self) -> Dtype:
        """Of the pixels that the file takes."""
        return self.feedings[0].spec.dtype


def plan_rung(
    name: str,
    source: ModelSource,
    facts: ModelFacts,
    outputs: tuple[str, ...],
    path: Path,
    scratch: Path,
) -> tuple[RungPlan, tuple[str, ...]]:
    """Combine both, and notes; `outputs` are those that are read, none meaning the file's only one.

    `path` is the file that `facts` are of; of one that takes flat rows copies that take images are
    written into `scratch`. Raises CalibrationError where the size is unknown or contradicts the
    file.
    """
    normalizations = _normalizations(source, facts)
    channels = source.channels or "RGB"
    spec = ModelSpec(path, facts.layout, facts.dtype, channels=channels, outputs=outputs)
    known = source.output is not None
    if not facts.rows:
        geometry = _geometry(source, facts)
        fed = tuple(Feeding(one.name, _normalised(spec, one), geometry) for one in normalizations)
        return RungPlan(name, fed, known), ()
    ways = readings(source.path.name, facts.width, source.size, source.layout)
    first = ways[0]
    if first.order == "grey" and channels != "RGB":
        raise CalibrationError(
            f"{source.path.name} takes rows of grey pixels; channels= does not apply",
            hint="Leave channels= out.",
        )
    feedings = []
    for way in ways:
        copy = scratch / way.order / path.name
        take_images(path, way, copy)
        own = replace(spec, path=copy, layout=way.layout)
        geometry = InputGeometry(way.width, way.height, source.fit or "cover")
        for one in normalizations:
            names = [way.order] * (len(ways) > 1) + [one.name] * (len(normalizations) > 1)
            feedings.append(Feeding(" ".join(names), _normalised(own, one), geometry))
    tried = NORMALIZATION if len(ways) == 1 else BOTH if len(normalizations) > 1 else LAYOUT
    colour = "in grey" if first.order == "grey" else "in colour"
    order = f", {first.order}" if len(ways) == 1 and first.order != "grey" else ""
    note = (
        f"{name}: rows of {first.numbers} numbers are read as images of {first.width}x"
        f"{first.height} px {colour}{order}; its copy in the repository takes images, "
        "flattened inside"
    )
    return RungPlan(name, tuple(feedings), known, tried), (note,)


def _geometry(source: ModelSource, facts: ModelFacts) -> InputGeometry:
    wanted = source.size
    if source.layout is not None:
        raise CalibrationError(
            f"{source.path.name} takes images; layout= is for models of flat rows",
            hint="Leave layout= out: the file itself says where its channels are.",
        )
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
    return InputGeometry(width, height, source.fit or "cover")


def _normalizations(source: ModelSource, facts: ModelFacts) -> tuple[Normalization, ...]:
    """Those that come into question."""
    if facts.dtype != "uint8":
        given = source.normalization
        return tuple(NORMALIZATIONS.values()) if given is None else (given,)
    if source.normalization is not None:
        raise CalibrationError(
            f"{source.path.name} takes whole pixels, 0 to 255; normalize= does not apply",
            hint="Leave normalize=, mean= and std= out.",
        )
    return (NORMALIZATIONS["pixels"],)


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
    feeding = plan.feedings[0]
    if len(plan.feedings) > 1:
        trial = _trial(plan, head, fitting)
        feeding = next(one for one in plan.feedings if one.name == trial.chosen)
        notes.append(str(trial))
    outputs = _run(plan, feeding, head, fitting, fitting.images)
    if not plan.output_known:
        head = kind.recognise(outputs, head)
    head, note = kind.fit(outputs, head, fitting.truths, plan.name)
    predictions = kind.read(outputs, head, ())
    rung = FittedRung(plan.name, feeding.spec, feeding.geometry, head)
    return rung, predictions, [*notes, note], trial


def _trial(plan: RungPlan, head: Any, fitting: Fitting) -> Trial:
    """Which feeding errs least; the best two on more images where they are close."""
    choices = plan.feedings
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
        trial = compare(plan.name, losses, gaps, plan.tried)
        if trial.sure or count >= len(fitting.images):
            break
        choices = tuple(
            choice for choice in choices if choice.name in (trial.chosen, trial.runner_up)
        )
    return trial


def _normalised(spec: ModelSpec, choice: Normalization) -> ModelSpec:
    return spec if spec.dtype == "uint8" else replace(spec, mean=choice.mean, std=choice.std)


def _tried(
    plan: RungPlan,
    choice: Feeding,
    head: Any,
    fitting: Fitting,
    images: Sequence[LabelledImage],
) -> tuple[list[float], float]:
    """Losses by image, and the mean square between calibrated confidence and being right."""
    kind, truths = fitting.kind, fitting.truths[: len(images)]
    outputs = _run(plan, choice, head, fitting, images)
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
    plan: RungPlan, feeding: Feeding, head: Any, fitting: Fitting, images: Sequence[LabelledImage]
) -> Outputs:
    fed = FittedRung(plan.name, feeding.spec, feeding.geometry, head)
    rung = fed.load(fitting.kind, fitting.engine)
    try:
        return outputs_of(rung, images, fitting.threads)
    finally:
        rung.close()
