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
from hawkvision.cascade.policy import default_accuracy
from hawkvision.datasets import LabelledImage, LabelledSet, copies_elsewhere, order, remark_on
from hawkvision.engines import flavour_of
from hawkvision.engines.tensorrt import examine as tensorrt
from hawkvision.errors import CalibrationError, InvalidRequest
from hawkvision.images import decode
from hawkvision.lossy.jpeg.damage import lose_packets
from hawkvision.planning.chains import Candidate, Certifying, Floats, Wanted
from hawkvision.repository import Rung, Task
from hawkvision.repository.task import Kind
from hawkvision.repository.weights import stored_bytes
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.choosing import Choice, candidate_names, choose
from hawkvision.taskbuild.cost import Cost, measure_cost
from hawkvision.taskbuild.fitting import FittedRung, Fitting, RungPlan, fit_rung
from hawkvision.taskbuild.numerics import make_references, numerics_of, spread_over
from hawkvision.taskbuild.planning import plan_task
from hawkvision.taskbuild.runs import LIMITS, Damage, Seen, answer_levels, each
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.taskbuild.split import CHOOSE_EVERY, FIT_EVERY, LEAST_IMAGES, split_images
from hawkvision.taskbuild.trial import Trial
from hawkvision.taskbuild.version import Draft, write_version
from hawkvision.tasks import Itemised

LOSS_LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3)
FEW_IMAGES = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True)
class BuildRequest:
    """What to calibrate. `models` run from small to large, the first at the edge.

    Where something is `wanted` of the chain they are candidates, in any order.
    """

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
    wanted: Wanted | None = None

    @property
    def curve_delta(self) -> float:
        """The risk of one target: all tiers together have `delta`."""
        return self.delta / max(1, len(self.tiers))

    @property
    def names(self) -> list[str]:
        """Of the models. Raises CalibrationError."""
        return rung_names(self.models) if self.wanted is None else candidate_names(self.models)

    def split(self) -> tuple[LabelledSet, LabelledSet]:
        """Fitting images and certifying ones. Raises CalibrationError."""
        every = FIT_EVERY if self.wanted is None else CHOOSE_EVERY
        return split_images(self.images, self.limit, every)


@dataclass(frozen=True)
class Progress:
    """Called as work goes on: `stage` with its name and number of images, `step` for each."""

    stage: Callable[[str, int], None] = lambda _name, _images: None
    step: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Built:
    """The task as written, its scores, notes for the user, what was found by trial, and chosen."""

    task: Task
    scores: CalibrationScores
    notes: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    choice: Choice | None = None


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
    fitting, certifying = request.split()
    plan = plan_task(
        request.kind,
        request.names,
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
    answered, choice = _fit(plan.rungs, plan.heads, held, progress), None
    costs: list[Cost] = []
    if request.wanted is not None:
        # Twice, one after the other: what else runs here meanwhile only ever adds.
        every = [one.rung for one in answered]
        turns = [_measure(every, request.engine, progress) for _ in range(2)]
        costs = [min(both, key=lambda cost: cost.milliseconds) for both in zip(*turns, strict=True)]
        choice = choose(
            [one.candidate(cost) for one, cost in zip(answered, costs, strict=True)],
            request.wanted,
            len(images),
            Certifying(len(certifying), request.curve_delta),
        )
        answered = [answered[place] for place in choice.places]
        costs = [costs[place] for place in choice.places]
    notes += [note for one in answered for note in one.notes]
    rungs = [one.rung for one in answered]
    chain = choose_chain(
        np.stack([one.loss for one in answered[1:]]),
        np.stack([one.confidence for one in answered[1:]]),
    )
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
    costs = costs or _measure(rungs, request.engine, progress)
    notes += remarks(scores, request.delta)
    if choice is not None:
        notes += choice.missed(scores.curve(request.curve_delta).highest_certifiable)
    served = [_rung(*item) for item in zip(rungs, [None, *chain, None], costs, strict=True)]
    draft = Draft(
        request.name,
        request.description,
        kind,
        served,
        scores,
        default_accuracy(scores.curve(request.curve_delta), request.tiers),
        request.tiers,
        references,
        numerics,
    )
    trials = tuple(one.trial for one in answered if one.trial is not None)
    return Built(write_version(draft, out), scores, tuple(notes), trials, choice)


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


@dataclass(frozen=True)
class _Answered:
    """A rung as it would be served, and its answers to the fitting images, float32 [N] each."""

    rung: FittedRung
    loss: Floats
    confidence: Floats
    notes: list[str]
    trial: Trial | None

    def candidate(self, cost: Cost) -> Candidate:
        """For the choice of a chain."""
        name, spent = self.rung.name, (cost.milliseconds, cost.memory_mb)
        return Candidate(name, *spent, self.loss, self.confidence)


def _fit(
    plans: Sequence[RungPlan], heads: Sequence[Any], fitting: Fitting, progress: Progress
) -> list[_Answered]:
    progress.stage("fitting", len(plans))
    answered = []
    for plan, head in zip(plans, heads, strict=True):
        rung, predictions, notes, trial = fit_rung(plan, head, fitting)
        losses = [
            fitting.kind.loss(prediction, truth)
            for prediction, truth in zip(predictions, fitting.truths, strict=True)
        ]
        confidence = [prediction.confidence for prediction in predictions]
        answered.append(
            _Answered(
                rung, np.array(losses, np.float32), np.array(confidence, np.float32), notes, trial
            )
        )
        progress.step()
    return answered


def _measure(rungs: Sequence[FittedRung], engine: str, progress: Progress) -> list[Cost]:
    progress.stage("measuring cost", len(rungs))
    costs = []
    for rung in rungs:
        costs.append(measure_cost(rung.spec, rung.geometry, engine))
        progress.step()
    return costs


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


def _rung(rung: FittedRung, threshold: float | None, cost: Cost) -> Rung:
    measured = {
        "milliseconds": cost.milliseconds,
        "p99_milliseconds": cost.p99_milliseconds,
        "memory_mb": cost.memory_mb,
        "kilobytes": round(stored_bytes(rung.spec.path) / 1000, 1),
    }
    return Rung(rung.name, rung.spec, "", rung.geometry, rung.head, threshold, measured)
