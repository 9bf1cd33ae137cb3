"""From what the user says of a model, and what its file says, to how it is served."""

from __future__ import annotations

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
from hawkvision.tasks import Outputs

_TRIAL_IMAGES = 200
_CLEAR = 0.02


@dataclass(frozen=True, slots=True)
class RungPlan:
    """A model as it is going to be served; `normalizations` are those still to be tried."""

    name: str
    spec: ModelSpec
    geometry: InputGeometry
    normalizations: tuple[Normalization, ...]
    output_known: bool


def plan_rung(name: str, source: ModelSource, facts: ModelFacts) -> RungPlan:
    """Combine both. Raises CalibrationError where the size is unknown or contradicts the file."""
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
        channels=source.channels,
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
    geometry = InputGeometry(width, height, source.fit)
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
    """What rungs are fitted on: labelled images that decode, and who runs them."""

    kind: Kind
    images: Sequence[LabelledImage]
    truths: Sequence[Any]
    engine: str = "onnx"
    threads: int = 2


def fit_rung(
    plan: RungPlan, head: Any, fitting: Fitting
) -> tuple[FittedRung, list[Any], list[str]]:
    """Find out what is not known yet; the rung, its predictions, and notes on what was found.

    Normalisation: the one under which the model errs least. Raises CalibrationError where the
    kind finds the model unfit for this data.
    """
    kind, notes = fitting.kind, []
    trials = fitting.images[:_TRIAL_IMAGES]
    spec = replace(plan.spec, outputs=kind.outputs_read(head))
    if not plan.output_known:
        head = kind.recognise(_run(plan, spec, head, fitting, trials), head)
    candidates = [_normalised(spec, choice) for choice in plan.normalizations]
    if len(candidates) > 1:
        shares = [_accuracy(plan, candidate, head, fitting, trials) for candidate in candidates]
        ranked = sorted(range(len(shares)), key=lambda index: (-shares[index], index))
        spec = candidates[ranked[0]]
        found = ", ".join(
            f"{plan.normalizations[index].name} {shares[index]:.0%}" for index in ranked
        )
        doubt = shares[ranked[0]] - shares[ranked[1]] < _CLEAR
        notes.append(
            f"{plan.name}: normalisation {plan.normalizations[ranked[0]].name!r} was found by "
            f"trial (right on: {found})"
            + ("; too close to be sure, give normalize=" if doubt else "")
        )
    else:
        spec = candidates[0]
    outputs = _run(plan, spec, head, fitting, fitting.images)
    head, note = kind.fit(outputs, head, fitting.truths, plan.name)
    predictions = kind.read(outputs, head, ())
    return FittedRung(plan.name, spec, plan.geometry, head), predictions, [*notes, note]


def _normalised(spec: ModelSpec, choice: Normalization) -> ModelSpec:
    return replace(spec, mean=choice.mean, std=choice.std) if spec.dtype == "float32" else spec


def _accuracy(
    plan: RungPlan, spec: ModelSpec, head: Any, fitting: Fitting, images: Sequence[LabelledImage]
) -> float:
    """One minus the mean loss."""
    kind = fitting.kind
    predictions = kind.read(_run(plan, spec, head, fitting, images), head, ())
    losses = [kind.loss(*pair) for pair in zip(predictions, fitting.truths, strict=False)]
    return 1 - sum(losses) / len(losses)


def _run(
    plan: RungPlan, spec: ModelSpec, head: Any, fitting: Fitting, images: Sequence[LabelledImage]
) -> Outputs:
    rung = FittedRung(plan.name, spec, plan.geometry, head).load(fitting.kind, fitting.engine)
    try:
        return outputs_of(rung, images, fitting.threads)
    finally:
        rung.close()
