"""Models and labelled images in, a version of a task in a model repository out."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hawkvision.calibration import (
    CalibrationScores,
    expected_calibration_error,
    fit_temperature,
)
from hawkvision.cascade.chain import chain_classes, choose_chain
from hawkvision.datasets import LabelledImage, LabelledSet
from hawkvision.errors import CalibrationError, InvalidRequest
from hawkvision.images import decode
from hawkvision.lossy.jpeg.damage import lose_packets
from hawkvision.repository import Rung, Task, read_task, write_task
from hawkvision.taskbuild.cost import Cost, measure_cost
from hawkvision.taskbuild.inspect import ModelFacts, inspect_onnx
from hawkvision.taskbuild.labels import LabelPlan, own_labels, plan_labels
from hawkvision.taskbuild.rungs import FittedRung, RungPlan, fit_rung, plan_rung
from hawkvision.taskbuild.runs import Damage, LoadedModel, Seen, answer_levels, each
from hawkvision.taskbuild.sources import ModelSource, read_labels
from hawkvision.tasks.classification import softmax

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
    """The task as written, its scores, and what the user should know."""

    task: Task
    scores: CalibrationScores
    notes: tuple[str, ...]


def split_images(images: LabelledSet, limit: int | None) -> tuple[LabelledSet, LabelledSet]:
    """Images that fit temperatures and choices, and images that certify; no image is in both.

    Drawn by the hash of the names: one in seven fits, at least 50. Raises CalibrationError where
    there are fewer than 100 in all.
    """
    ranked = sorted(
        images.members,
        key=lambda member: hashlib.sha256(
            Path(member[0]).name.encode() + member[1].encode()
        ).digest(),
    )[:limit]
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

    Raises CalibrationError, EngineError, DatasetError.
    """
    notes: list[str] = []
    if not _NAME.fullmatch(request.name):
        raise CalibrationError(
            f"{request.name[:80]!r} is no name for a task",
            hint="Letters, digits, '_', '-' and '.', starting with a letter or digit.",
        )
    fitting, certifying = split_images(request.images, request.limit)
    names = rung_names(request.models)
    facts = [inspect_onnx(model.path) for model in request.models]
    labels = _plan_labels(request, names, facts, notes)
    plans = [
        replace(plan, spec=replace(plan.spec, select=select))
        for plan, select in zip(
            (plan_rung(*item) for item in zip(names, request.models, facts, strict=True)),
            labels.selects,
            strict=True,
        )
    ]
    rungs, temperatures, truth = _fit(request, plans, fitting, labels, progress, notes)
    chain = _choose_chain(rungs, temperatures, truth)
    scores = _certify(request, rungs, temperatures, chain, certifying, labels, progress, notes)
    progress.stage("measuring cost", len(rungs))
    costs = []
    for rung in rungs:
        costs.append(measure_cost(rung.spec, rung.geometry))
        progress.step()
    notes += remarks(scores, request.delta)
    served = [
        _rung(*item) for item in zip(rungs, temperatures, [None, *chain, None], costs, strict=True)
    ]
    task = _write(request, labels, served, scores, out)
    return Built(task, scores, tuple(notes))


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


def _plan_labels(
    request: BuildRequest, names: list[str], facts: list[ModelFacts], notes: list[str]
) -> LabelPlan:
    folders = request.images.labels
    names_here = [request.aliases.get(folder, folder) for folder in folders]
    known = []
    for name, model, fact in zip(names, request.models, facts, strict=True):
        given = read_labels(model.labels) if model.labels else fact.labels
        if model.labels is None and given is not None and not set(given) & set(names_here):
            notes.append(f"{name}: the labels in the file are not the data's; they are passed over")
            given = None
        outputs = _outputs(fact, given, folders)
        own, warning = own_labels(name, given, outputs, names_here)
        known.append((name, own))
        if warning:
            notes.append(warning)
    plan, warnings = plan_labels(known, folders, request.aliases, restrict=request.restrict_to_data)
    notes += warnings
    return plan


def _outputs(fact: ModelFacts, given: tuple[str, ...] | None, folders: Sequence[str]) -> int:
    """Number of classes; a file that leaves it open is taken to have as many as are named."""
    if fact.outputs is None:
        return len(given) if given is not None else len(folders)
    return 2 if fact.outputs == 1 else fact.outputs


def readable(images: LabelledSet) -> list[LabelledImage]:
    """The images that decode, in memory."""
    found = []
    for image in images:
        try:
            decode(image.data, min_side=32)
        except InvalidRequest:
            continue
        found.append(image)
    return found


def _fit(
    request: BuildRequest,
    plans: list[RungPlan],
    fitting: LabelledSet,
    labels: LabelPlan,
    progress: Progress,
    notes: list[str],
) -> tuple[list[FittedRung], list[float], npt.NDArray[np.int32]]:
    images = readable(fitting)
    truth = np.array([labels.classes[image.label] for image in images], np.int32)
    progress.stage("fitting", len(plans))
    rungs, temperatures = [], []
    for plan in plans:
        rung, found = fit_rung(plan, images, truth, len(labels.labels), request.threads)
        temperature = round(fit_temperature(rung.logits, truth), 4)
        before = expected_calibration_error(rung.logits, truth, 1.0)
        after = expected_calibration_error(rung.logits, truth, temperature)
        notes += found
        notes.append(
            f"{plan.name}: temperature {temperature:g} (calibration error {before:.3f} before, "
            f"{after:.3f} after, on the {len(images)} fitting images)"
        )
        rungs.append(rung)
        temperatures.append(temperature)
        progress.step()
    return rungs, temperatures, truth


def _choose_chain(
    rungs: list[FittedRung], temperatures: list[float], truth: npt.NDArray[np.int32]
) -> list[float]:
    """Thresholds of the data center's middle rungs."""
    above = list(zip(rungs, temperatures, strict=True))[1:]
    classes = np.stack([rung.logits.argmax(axis=1).astype(np.int32) for rung, _ in above])
    confidence = np.stack([softmax(rung.logits, t).max(axis=1) for rung, t in above])
    return choose_chain(classes, confidence, truth)


def _certify(
    request: BuildRequest,
    rungs: list[FittedRung],
    temperatures: list[float],
    chain: list[float],
    certifying: LabelledSet,
    labels: LabelPlan,
    progress: Progress,
    notes: list[str],
) -> CalibrationScores:
    models = [LoadedModel(rung.name, rung.spec, rung.geometry) for rung in rungs]
    levels = request.loss_levels
    progress.stage("certifying", len(certifying))

    def work(image: LabelledImage) -> tuple[str, Seen]:
        seen = answer_levels(
            models, temperatures, levels, request.damage, image, labels.classes[image.label]
        )
        return hashlib.sha256(image.data).hexdigest(), seen

    found: dict[str, Seen] = {}
    answered = 0
    for digest, one in each(certifying, work, request.threads, progress.step):
        answered += 1
        found.setdefault(digest, one)
    for model in models:
        model.close()
    if unread := len(certifying) - answered:
        notes.append(f"{unread} images do not decode and were left out")
    if twice := answered - len(found):
        notes.append(f"{twice} images are copies of others and were left out")
    return assemble([found[digest] for digest in sorted(found)], levels, chain)


def assemble(
    seen: Sequence[Seen], levels: Sequence[float], chain: Sequence[float]
) -> CalibrationScores:
    """Scores from single images. Raises CalibrationError where too few are left."""
    if len(seen) < LEAST_IMAGES // 2:
        raise CalibrationError(
            f"only {len(seen)} images are left to certify with",
            hint="Check that the images decode and are not all the same.",
        )
    classes = np.stack([one.predicted for one in seen], axis=2)
    confidence = np.stack([one.confidence for one in seen], axis=2)
    return CalibrationScores(
        label=np.array([one.class_id for one in seen], np.int32),
        rung_class=classes,
        rung_confidence=confidence,
        rung_raw_confidence=np.stack([one.raw_confidence for one in seen], axis=1),
        dc_class=chain_classes(classes[:, 1:], confidence[:, 1:], chain).astype(np.int32),
        loss_levels=np.array(levels, np.float64),
        image_bytes=np.array([one.size for one in seen], np.int32),
    )


def remarks(scores: CalibrationScores, delta: float) -> list[str]:
    """Warnings that follow from the scores alone."""
    curve = scores.curve(delta)
    edge = float(scores.edge_correct[0].mean())
    dc = float(scores.dc_correct[0].mean())
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
            f"the highest certified target, {curve.highest_certifiable:.3f}, lies below the "
            f"edge's own accuracy, {edge:.3f}; more images would help"
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
    return fitting[-1] if fitting else math.floor(curve.highest_certifiable * 1000) / 1000


def _rung(rung: FittedRung, temperature: float, threshold: float | None, cost: Cost) -> Rung:
    measured = {
        "milliseconds": cost.milliseconds,
        "p99_milliseconds": cost.p99_milliseconds,
        "memory_mb": cost.memory_mb,
        "kilobytes": round(rung.spec.path.stat().st_size / 1000, 1),
    }
    return Rung(rung.name, rung.spec, "", rung.geometry, temperature, threshold, measured)


def _write(
    request: BuildRequest,
    labels: LabelPlan,
    rungs: Sequence[Rung],
    scores: CalibrationScores,
    out: Path,
) -> Task:
    accuracy = _accuracies(scores)
    parent = out / request.name
    parent.mkdir(parents=True, exist_ok=True)
    final = parent / next_version(out, request.name)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=parent) as scratch:
        folder = Path(scratch) / final.name
        folder.mkdir()
        kept = []
        for rung, share in zip(rungs, accuracy, strict=True):
            path = folder / f"{rung.name}.onnx"
            shutil.copyfile(rung.model.path, path)
            measured = {"accuracy": share, **rung.measured}
            precision = "int8" if _is_quantized(path) else rung.model.precision
            model = replace(rung.model, path=path, precision=precision)
            kept.append(replace(rung, model=model, measured=measured))
        scores.save(folder / "calibration.npz")
        write_task(
            Task(
                name=request.name,
                version=final.name,
                description=request.description,
                labels=labels.labels,
                default_accuracy=default_accuracy(scores, request.delta, request.tiers),
                rungs=tuple(kept),
                calibration=folder / "calibration.npz",
                calibration_sha256="",
                aliases={
                    alias: label
                    for alias, label in request.aliases.items()
                    if label in labels.labels and alias not in labels.labels
                },
                folder=folder,
                tiers=request.tiers,
            )
        )
        read_task(folder)
        folder.rename(final)
    return read_task(final)


def _accuracies(scores: CalibrationScores) -> list[float]:
    right = scores.rung_class[0] == scores.label
    return [round(float(share), 4) for share in right.mean(axis=1)]


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
