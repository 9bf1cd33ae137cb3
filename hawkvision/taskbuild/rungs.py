"""From what the user says of a model, and what its file says, to how it is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hawkvision.datasets import LabelledImage
from hawkvision.engines import ModelSpec
from hawkvision.errors import CalibrationError
from hawkvision.images import InputGeometry
from hawkvision.taskbuild.inspect import ModelFacts
from hawkvision.taskbuild.labels import check_order
from hawkvision.taskbuild.runs import LoadedModel, answer_intact, each
from hawkvision.taskbuild.sources import NORMALIZATIONS, ModelSource, Normalization

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
        output=source.output or "logits",
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
    """How a model is served, and its logits [F,K] on the fitting images."""

    name: str
    spec: ModelSpec
    geometry: InputGeometry
    logits: npt.NDArray[np.float32]


def looks_like_probabilities(out: npt.NDArray[np.float32]) -> bool:
    """Whether rows [N,K] are probabilities: in [0, 1], summing to one (or a single share)."""
    if out.min() < 0 or out.max() > 1 + 1e-4:
        return False
    return out.shape[1] == 1 or bool(np.abs(out.sum(axis=1) - 1).max() < 1e-2)


def fit_rung(
    plan: RungPlan,
    images: Sequence[LabelledImage],
    labels: npt.NDArray[np.int32],
    classes: int,
    threads: int,
) -> tuple[FittedRung, list[str]]:
    """Find out what is not known yet on the fitting images; notes on what was found.

    Normalisation: the one under which the model is most often right. Output: probabilities if it
    looks like them. Raises CalibrationError where the model is no better than chance.
    """
    notes: list[str] = []
    trials = images[:_TRIAL_IMAGES]
    spec = plan.spec
    if not plan.output_known:
        raw = _run(plan.name, replace(spec, select=()), plan.geometry, trials, threads, raw=True)
        if looks_like_probabilities(raw):
            spec = replace(spec, output="probabilities")
    candidates = [_normalised(spec, choice) for choice in plan.normalizations]
    if len(candidates) > 1:
        shares = [
            float(
                (
                    _run(plan.name, c, plan.geometry, trials, threads).argmax(axis=1)
                    == labels[: len(trials)]
                ).mean()
            )
            for c in candidates
        ]
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
    logits = _run(plan.name, spec, plan.geometry, images, threads)
    check_order(plan.name, logits.argmax(axis=1), labels, classes)
    return FittedRung(plan.name, spec, plan.geometry, logits), notes


def logits_of(
    spec: ModelSpec, rung: FittedRung, images: Sequence[LabelledImage], threads: int
) -> npt.NDArray[np.float32]:
    """Logits [N,K] of a model fed as `rung` is."""
    return _run(rung.name, spec, rung.geometry, images, threads)


def _normalised(spec: ModelSpec, choice: Normalization) -> ModelSpec:
    return replace(spec, mean=choice.mean, std=choice.std) if spec.dtype == "float32" else spec


def _run(
    name: str,
    spec: ModelSpec,
    geometry: InputGeometry,
    images: Sequence[LabelledImage],
    threads: int,
    *,
    raw: bool = False,
) -> npt.NDArray[np.float32]:
    """Logits [N,K]; with `raw`, what the file itself answers."""
    model = LoadedModel(name, replace(spec, output="logits") if raw else spec, geometry)
    try:
        rows = each(images, lambda image: answer_intact([model], image)[0], threads, lambda: None)
        out = np.stack(list(rows))
    finally:
        model.close()
    return out[:, 1:] if raw and out.shape[1] == 2 and not out[:, 0].any() else out
