"""Models and labelled images in, a version of a task in a model repository out."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hawkvision.calibration import CalibrationScores, Items, shown
from hawkvision.cascade.chain import choose_chain, of_chain
from hawkvision.datasets import LabelledImage, LabelledSet, copies_elsewhere, order, remark_on
from hawkvision.engines import flavour_of
from hawkvision.engines.tensorrt import examine as tensorrt
from hawkvision.errors import CalibrationError, InvalidRequest
from hawkvision.images import decode
from hawkvision.lossy.jpeg.damage import lose_packets
from hawkvision.repository import Rung, Task
from hawkvision.repository.task import Kind
from hawkvision.repository.weights import stored_bytes
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.cost import Cost, measure_cost
from hawkvision.taskbuild.fitting import FittedRung, Fitting, RungPlan, fit_rung
from hawkvision.taskbuild.numerics import make_references, numerics_of, spread_over
from hawkvision.taskbuild.planning import plan_task
from hawkvision.taskbuild.runs import LIMITS, Damage, Seen, answer_levels, each
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.taskbuild.trial import Trial
from hawkvision.taskbuild.version import Draft, write_version
from hawkvision.tasks import Itemised

LOSS_LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3)
LEAST_IMAGES = 100
FEW_IMAGES = 500
_FIT_EVERY = 7
_LEAST_FITTED = 50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True)
class BuildRequest:
    """What to calibrate. `models` run from small to large, the first at the edge."""

    name: str
    models: tuple[ModelSource, ...]
    images: LabelledSet
    aliases: dict[str, str] = field(default_factory=dict)
    description: str = ""
    loss_levels: tuple[float, ...] = LOSS_LEVELS
    damage: Damage = lose_packets
    delta: float = 0.05
    tiers: tuple[float, ...] = ()
    kind: str = "classification"
    engine: str = "onnx"
    restrict_to_data: bool = False
    limit: int | None = None
    threads: int = 2


@dataclass(frozen=True)
class Progress:
    """Called as work goes on: `stage` with its name and number of images, `step` for each."""

    stage: Callable[[str, int], None] = lambda _name, _images: None
    step: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Built:
    """The task as written, its scores, what the user should know, and what was found by trial."""

    task: Task
    scores: CalibrationScores
    notes: tuple[str, ...]
    trials: tuple[Trial, ...] = ()


def split_images(images: LabelledSet, limit: int | None) -> tuple[LabelledSet, LabelledSet]:
    """Images that fit temperatures and choices, and images that certify; no image is in both.

    Drawn by the hash of the names: one in seven fits, at least 50. Raises CalibrationError where
    there are fewer than 100 in all.
    """
    ranked = order.by_name_and_label(images.members)[:limit]
    if len(ranked) < LEAST_IMAGES:
        raise CalibrationError(
            f"{len(ranked)} labelled images are too few to certify anything",
            hint=f"At least {LEAST_IMAGES} are needed; about 1,000 is a good start. The rungs must "
            "not have been trained on them.",
        )
    fitted = max(_LEAST_FITTED, len(ranked) // _FIT_EVERY)
    return images.part(ranked[:fitted]), images.part(ranked[fitted:])


def build_task(request: BuildRequest, out: Path, progress: Progress) -> Built:
    """Run everything and write `out/<name>/<next version>/`, which appears only when whole.

    The version is opened as it will be served before it appears. Raises CalibrationError,
    EngineError, DatasetError, RepositoryError.
    """
    if not _NAME.fullmatch(request.name):
        raise CalibrationError(
            f"{request.name[:80]!r} is no name for a task",
            hint="Letters, digits, '_', '-' and '.', starting with a letter or digit.",
        )
    if flavour_of(request.engine) == tensorrt.FLAVOUR and tensorrt.present():
        for source in request.models:
            tensorrt.examine(source.path)
    with tempfile.TemporaryDirectory(prefix="hawkvision-") as scratch:
        return _build(request, out, progress, Path(scratch))


def _build(request: BuildRequest, out: Path, progress: Progress, scratch: Path) -> Built:
    fitting, certifying = split_images(request.images, request.limit)
    names = rung_names(request.models)
    plan = plan_task(
        request.kind,
        names,
        request.models,
        request.images,
        request.aliases,
        scratch,
        restrict=request.restrict_to_data,
    )
    kind, notes = plan.kind, [*request.images.notes, *plan.notes]
    if copies := copies_elsewhere(request.images):
        notes.append(f"{remark_on(copies)}; they were left out")
        fitting, certifying = (
            part.part(member for member in part.members if member[0] not in copies)
            for part in (fitting, certifying)
        )
    images = readable(fitting)
    held = Fitting(
        kind,
        images,
        [kind.truth(image.label) for image in images],
        request.engine,
        request.threads,
    )
    rungs, chain, trials = _fit(plan.rungs, plan.heads, held, progress, notes)
    loaded = [rung.load(kind, request.engine) for rung in rungs]
    try:
        fitted = {_digest(image) for image in images}
        scores = _certify(request, loaded, chain, certifying, fitted, progress, notes)
        shown = spread_over(images)
        references = make_references(
            loaded,
            [rung.spec for rung in rungs],
            [[rung.prepare(image.data, LIMITS) for image in shown] for rung in loaded],
        )
        numerics = numerics_of(loaded[0].engine.metadata, request.engine)
    finally:
        for rung in loaded:
            rung.close()
    progress.stage("measuring cost", len(rungs))
    costs = []
    for fitted_rung in rungs:
        costs.append(measure_cost(fitted_rung.spec, fitted_rung.geometry, request.engine))
        progress.step()
    notes += remarks(scores, request.delta)
    served = [_rung(*item) for item in zip(rungs, [None, *chain, None], costs, strict=True)]
    draft = Draft(
        request.name,
        request.description,
        kind,
        served,
        scores,
        default_accuracy(scores, request.delta, request.tiers),
        request.tiers,
        references,
        numerics,
    )
    return Built(write_version(draft, out), scores, tuple(notes), trials)


def rung_names(models: Sequence[ModelSource]) -> list[str]:
    """`edge`, then `dc`; with several in the data center `dc1`, `dc2`, …, unless given."""
    many = len(models) > 2
    names = [
        model.name or ("edge" if index == 0 else f"dc{index}" if many else "dc")
        for index, model in enumerate(models)
    ]
    if len(set(names)) != len(names) or len(names) < 2:
        raise CalibrationError(
            f"rungs must be at least two with different names, not {', '.join(names)}",
            hint="Give --edge FILE and one or more --dc FILE.",
        )
    return names


def readable(images: LabelledSet) -> list[LabelledImage]:
    """The images that decode, in memory, in the order that mixes classes."""
    found = []
    for image in images:
        try:
            decode(image.data, min_side=32)
        except InvalidRequest:
            continue
        found.append(image)
    return sorted(found, key=lambda image: order.rank((image.name, image.label)))


def _digest(image: LabelledImage) -> bytes:
    return hashlib.sha256(image.data).digest()


def _fit(
    plans: Sequence[RungPlan],
    heads: Sequence[Any],
    fitting: Fitting,
    progress: Progress,
    notes: list[str],
) -> tuple[list[FittedRung], list[float], tuple[Trial, ...]]:
    """The rungs as they are served, the thresholds of the data center's middle ones, and trials."""
    progress.stage("fitting", len(plans))
    rungs, losses, confidence, trials = [], [], [], []
    for plan, head in zip(plans, heads, strict=True):
        rung, predictions, found, trial = fit_rung(plan, head, fitting)
        notes += found
        trials += [] if trial is None else [trial]
        rungs.append(rung)
        losses.append(
            [
                fitting.kind.loss(prediction, truth)
                for prediction, truth in zip(predictions, fitting.truths, strict=True)
            ]
        )
        confidence.append([prediction.confidence for prediction in predictions])
        progress.step()
    chain = choose_chain(np.array(losses[1:], np.float32), np.array(confidence[1:], np.float32))
    return rungs, chain, tuple(trials)


def _certify(
    request: BuildRequest,
    rungs: list[LoadedRung],
    chain: list[float],
    certifying: LabelledSet,
    fitted: set[bytes],
    progress: Progress,
    notes: list[str],
) -> CalibrationScores:
    kind, levels = rungs[0].kind, request.loss_levels
    progress.stage("certifying", len(certifying))

    def work(image: LabelledImage) -> tuple[LabelledImage, Seen]:
        seen = answer_levels(rungs, levels, request.damage, image, kind.truth(image.label))
        return replace(image, data=_digest(image)), seen

    found: dict[bytes, tuple[LabelledImage, Seen]] = {}
    answered = copies = fitted_too = 0
    disputed: list[str] = []
    for image, one in each(certifying, work, request.threads, progress.step):
        answered += 1
        first, _ = found.setdefault(image.data, (image, one))
        if image.data in fitted:
            fitted_too += 1
            del found[image.data]
        elif first is not image:
            copies += 1
            if first.label != image.label:
                disputed.append(f"{first.name} and {image.name}")
    if unread := len(certifying) - answered:
        notes.append(f"{unread} images do not decode and were left out")
    if copies or fitted_too:
        notes.append(f"{copies + fitted_too} images are copies of others and were left out")
    if disputed:
        notes.append(
            f"{len(disputed)} images stand under two labels, first {disputed[0]}: the first counts"
        )
    return assemble(kind, [found[digest][1] for digest in sorted(found)], levels, chain)


def assemble(
    kind: Kind, seen: Sequence[Seen], levels: Sequence[float], chain: Sequence[float]
) -> CalibrationScores:
    """Scores from single images. Raises CalibrationError where too few are left."""
    if len(seen) < LEAST_IMAGES // 2:
        raise CalibrationError(
            f"only {len(seen)} images are left to certify with",
            hint="Check that the images decode and are not all the same.",
        )
    loss = np.stack([one.loss for one in seen], axis=2)
    confidence = np.stack([one.confidence for one in seen], axis=2)
    items = None
    if isinstance(kind, Itemised):
        answers = np.stack([one.items for one in seen], axis=2)
        items = Items(
            label=np.array([one.true_item for one in seen], np.int32),
            rung_class=answers,
            dc_class=of_chain(answers[:, 1:], confidence[:, 1:], chain).astype(np.int32),
        )
    return CalibrationScores(
        rung_loss=loss,
        dc_loss=of_chain(loss[:, 1:], confidence[:, 1:], chain),
        rung_confidence=confidence,
        rung_raw_confidence=np.stack([one.raw_confidence for one in seen], axis=1),
        loss_levels=np.array(levels, np.float64),
        image_bytes=np.array([one.size for one in seen], np.int32),
        binary=kind.binary,
        items=items,
    )


def remarks(scores: CalibrationScores, delta: float) -> list[str]:
    """Warnings that follow from the scores alone."""
    curve = scores.curve(delta)
    edge, dc = scores.edge_accuracy(), scores.dc_accuracy()
    found = []
    if len(scores) < FEW_IMAGES:
        margin = dc - curve.highest_certifiable
        found.append(
            f"only {len(scores)} certifying images: the guarantee costs {margin:.1%} of accuracy "
            f"(about {margin / 2:.1%} with {4 * len(scores)} images)"
        )
    if dc <= edge:
        found.append(
            f"the data center is right on {dc:.1%}, the edge on {edge:.1%}: escalating does not pay"
        )
    if curve.highest_certifiable < edge:
        found.append(
            f"the highest certified target, {shown.lower(curve.highest_certifiable)}, lies below "
            f"the edge's own accuracy, {edge:.3f}; more images would help"
        )
    return found


def default_accuracy(scores: CalibrationScores, delta: float, tiers: Sequence[float]) -> float:
    """The highest multiple of 0.05 (or tier) certified with at most 60 % escalation."""
    curve = scores.curve(delta / max(1, len(tiers)))
    offered = tiers or [step / 20 for step in range(1, 20)]
    fitting = [
        target
        for target in offered
        if target <= curve.highest_certifiable
        and curve.escalation_rate[curve.index_for(target)] <= 0.6
    ]
    return fitting[-1] if fitting else shown.floored(curve.highest_certifiable)


def _rung(rung: FittedRung, threshold: float | None, cost: Cost) -> Rung:
    measured = {
        "milliseconds": cost.milliseconds,
        "p99_milliseconds": cost.p99_milliseconds,
        "memory_mb": cost.memory_mb,
        "kilobytes": round(stored_bytes(rung.spec.path) / 1000, 1),
    }
    return Rung(rung.name, rung.spec, "", rung.geometry, rung.head, threshold, measured)
