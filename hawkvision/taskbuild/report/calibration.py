"""The calibration report: what is certified, what it costs, and what it rests on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hawkvision.calibration import CalibrationScores, shown
from hawkvision.cascade import CascadePolicy
from hawkvision.datasets import LabelledSet
from hawkvision.repository import Rung, Task
from hawkvision.summary import Summary
from hawkvision.taskbuild.report import plots
from hawkvision.taskbuild.report.confusion import confusion
from hawkvision.taskbuild.report.examples import examples

PARTS = (
    ("targets", "Targets"),
    ("alone", "Each model alone"),
    ("risk", "Risk"),
    ("reliability", "Confidence"),
    ("classes", "Classes"),
    ("confusion", "Confusions"),
    ("worst", "Worst mistakes"),
    ("relative", "Relative targets"),
    ("loss", "Loss"),
    ("made", "What it rests on"),
)
"""Each section of the page: its id, and how the list at the top calls it."""
_WORST_CLASSES = 30
_BINS = 15
_COMPARED = 4


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class at the default target; shares are None where it has no images."""

    label: str
    images: int
    edge: float | None
    dc: float | None
    cascade: float | None
    escalated: float | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """One rung's reliability diagram and calibration errors."""

    name: str
    head: str
    before: float
    after: float
    panels: tuple[Markup, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """How a report came about: when (ISO 8601), by which command, from which files."""

    when: str
    command: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TargetRows:
    """Targets one after the other that share a threshold: `row` is the highest."""

    lowest: float
    row: Any
    default: bool


def grouped(rows: Sequence[Any], default: float) -> list[TargetRows]:
    """Rows with the same threshold are one: an edge that is good enough needs no seven lines."""
    found: list[TargetRows] = []
    for row in rows:
        is_default = row.target == default
        if found and found[-1].row.threshold == row.threshold and not is_default:
            last = found[-1]
            if not last.default:
                found[-1] = TargetRows(last.lowest, row, False)
                continue
        found.append(TargetRows(row.target, row, is_default))
    return found


_WARNINGS = ("only ", "the data center is right", "the highest certified", "not ", "no ")


def is_warning(note: str) -> bool:
    """Whether a note asks for something, and does not only tell what was found."""
    return note.startswith(_WARNINGS) or "left out" in note or "not used" in note or "!" in note


def render(
    task: Task,
    scores: CalibrationScores,
    summary: Summary,
    notes: Sequence[str] = (),
    made: Made | None = None,
    images: LabelledSet | None = None,
) -> str:
    """The report as one HTML page without outside resources.

    `images` are those that certified; the worst mistakes among them are shown.
    """
    environment = Environment(
        loader=PackageLoader("hawkvision.taskbuild.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: "" if share is None else f"{share:.1%}"
    environment.filters["bound"] = shown.lower
    environment.filters["target"] = shown.target
    environment.filters["interval"] = lambda row: shown.interval(row.ci_low, row.ci_high)
    environment.filters["count"] = lambda number: f"{number:,}".replace(",", "\u202f")
    environment.filters["threshold"] = threshold_text
    environment.filters["foldable"] = foldable
    policy = CascadePolicy(scores, task.default_accuracy, delta=summary.delta, tiers=task.tiers)
    classes = class_rows(task, scores, policy.default.threshold)
    page = environment.get_template("calibration.html.j2")
    mistaken = confusion(scores, task.labels, policy.default.threshold)
    pictures = (
        [] if images is None else examples(scores, task.labels, images, policy.default.threshold)
    )
    drawn = figures(scores, summary, policy)
    absent = {
        "confusion": mistaken is None,
        "worst": not pictures,
        "loss": "loss" not in drawn,
    }
    return page.render(
        task=task,
        parts=[(name, title) for name, title in PARTS if not absent.get(name, False)],
        summary=summary,
        warnings=[note for note in notes if is_warning(note)],
        facts=[note for note in notes if not is_warning(note)],
        made=made,
        certified=grouped(
            [row for row in summary.targets if row.certified], summary.default_accuracy
        ),
        confusion=mistaken,
        examples=pictures,
        refused=[row for row in summary.targets if not row.certified],
        compared=compared_rows(summary),
        classes=classes[:_WORST_CLASSES],
        classes_left_out=max(0, len(classes) - _WORST_CLASSES),
        rungs=list(task.rungs),
        heads={rung.name: _head(task, rung) for rung in task.rungs},
        reliability=reliabilities(task, scores),
        figures=drawn,
    )


def threshold_text(threshold: float) -> str:
    """No confidence reaches a threshold above 1: such a row escalates everything."""
    return f"{threshold:.4f}" if threshold <= 1 else "above 1"


def foldable(label: str) -> Markup:
    """A label that a narrow column may break after `_` and `/`, not within a word."""
    parts = re.split(r"(?<=[_/])", label)
    return Markup("<wbr>").join(parts)


def compared_rows(summary: Summary) -> list[Any]:
    """A few certified targets from the lowest to the highest."""
    certified = [row for row in summary.targets if row.certified]
    if len(certified) <= _COMPARED:
        return certified
    # from the last target that needs no escalation
    start = sum(row.escalation_rate == 0 for row in certified)
    usable = certified[max(0, start - 1) :]
    places = np.linspace(0, len(usable) - 1, min(_COMPARED, len(usable))).round().astype(int)
    return [usable[place] for place in dict.fromkeys(places.tolist())]


def class_rows(task: Task, scores: CalibrationScores, threshold: float) -> list[ClassRow]:
    """Every item, the least accurate of the cascade first, those without images last.

    Empty where the task's kind has no numbered items.
    """
    local = scores.confidence >= threshold
    if scores.items is None:
        return []
    edge, dc = 1 - scores.edge_loss[0], 1 - scores.dc_loss[0]
    cascade = np.where(local, edge, dc)
    size, label = len(task.labels), scores.items.label
    images = np.bincount(label, minlength=size)

    def shares(values: npt.NDArray[np.generic]) -> list[float | None]:
        total = np.bincount(label, values.astype(float), size)
        return [
            float(part / count) if count else None
            for part, count in zip(total, images, strict=True)
        ]

    rows = [
        ClassRow(label, int(count), *parts)
        for label, count, *parts in zip(
            task.labels,
            images,
            shares(edge),
            shares(dc),
            shares(cascade),
            shares(~local),
            strict=True,
        )
    ]
    return sorted(rows, key=lambda row: (row.cascade is None, row.cascade or 0.0))


def calibration_error(
    confidence: npt.NDArray[np.float32], right: npt.NDArray[np.floating[Any]]
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by counts."""
    mean, share, count = plots.bins_of(confidence, right, _BINS)
    return float((np.abs(mean - share) * count).sum() / count.sum())


def reliabilities(task: Task, scores: CalibrationScores) -> list[Reliability]:
    """A diagram for each rung."""
    found = []
    for index, rung in enumerate(task.rungs):
        right = 1 - scores.rung_loss[0, index]
        raw, scaled = scores.rung_raw_confidence[index], scores.rung_confidence[0, index]
        found.append(
            Reliability(
                rung.name,
                _head(task, rung),
                calibration_error(raw, right),
                calibration_error(scaled, right),
                tuple(
                    Markup(plots.reliability_plot(str(index), when, confidence, right))
                    for when, confidence in (("before", raw), ("after", scaled))
                ),
            )
        )
    return found


def _head(task: Task, rung: Rung) -> str:
    """How a rung's outputs are read, in short."""
    table = task.kind.head_table(rung.head)
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in table.items()
        if not isinstance(value, list)
    )


def figures(
    scores: CalibrationScores, summary: Summary, policy: CascadePolicy
) -> dict[str, Markup]:
    """The plots that do not belong to a single rung."""
    certified = [row for row in summary.targets if row.certified]
    targets, highest = [row.target for row in certified], summary.highest_certifiable
    span = {
        "default": summary.default_accuracy,
        "highest": highest,
        "beyond": max(highest, *(row.target for row in summary.targets)),
    }
    escalated = [100 * (row.escalation_rate or 0.0) for row in certified]
    times = [row.expected_ms or 0.0 for row in certified]
    found = {
        "escalated": plots.cost_plot(
            "escalated", targets, escalated, "escalated, %", least=10.0, **span
        ),
        "time": plots.cost_plot("time", targets, times, "expected time, ms", least=1.0, **span),
        "risk": _risk(scores, policy),
    }
    if len(summary.levels) > 1:
        resent = [row for row in summary.levels if row.intact_resend or row.loss == 0]
        as_it_came = [row for row in summary.levels if not row.intact_resend]
        found["loss"] = plots.loss_plot(
            [row.loss for row in as_it_came],
            [row.edge_accuracy for row in as_it_came],
            [row.dc_accuracy for row in as_it_came],
            [row.highest_certifiable for row in resent],
        )
    return {name: Markup(svg) for name, svg in found.items()}


def _risk(scores: CalibrationScores, policy: CascadePolicy) -> str:
    curve = policy.curve
    ranked = np.argsort(scores.confidence)[::-1]
    wrong = np.cumsum(scores.edge_loss[0][ranked], dtype=np.float64)
    local = np.round((1 - curve.escalation_rate) * len(scores)).astype(int)
    selective = np.where(local > 0, wrong[np.maximum(local - 1, 0)] / np.maximum(local, 1), 0.0)
    return plots.risk_plot(
        1 - curve.escalation_rate,
        1 - curve.accuracy,
        1 - curve.lower_bound,
        selective,
        scores.edge_accuracy(),
        scores.dc_accuracy(),
    )
