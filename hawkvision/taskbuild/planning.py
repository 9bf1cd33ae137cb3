"""From files and what is said of them to a kind of task, heads, and how each model is fed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hawkvision.datasets import LabelledSet
from hawkvision.errors import CalibrationError
from hawkvision.repository.task import Kind
from hawkvision.taskbuild import labels as label_files
from hawkvision.taskbuild.fitting import RungPlan, plan_rung
from hawkvision.taskbuild.inspect import ModelFacts, check_file, inspect_onnx
from hawkvision.taskbuild.labels import Labels
from hawkvision.taskbuild.outputs import Output, choose_output
from hawkvision.taskbuild.preprocessing import stated
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.taskbuild.zipmap import Unzipped, without_zipmap
from hawkvision.tasks import ModelOutputs, kind_named


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The kind, and for each model its head and how it is fed, with notes for people."""

    kind: Kind
    heads: tuple[Any, ...]
    rungs: tuple[RungPlan, ...]
    notes: tuple[str, ...]


def plan_task(
    kind: str,
    names: Sequence[str],
    models: Sequence[ModelSource],
    images: LabelledSet,
    aliases: Mapping[str, str],
    scratch: Path,
    *,
    restrict: bool = False,
) -> TaskPlan:
    """Read every file and put together what it takes to fit the models.

    Of files that end in ZipMap, or take flat rows, copies are written into `scratch`, which the
    plan is of: they have to stay until the task is written. Raises CalibrationError, EngineError or
    RepositoryError for what cannot work.
    """
    if len(images.labels) < 2:
        raise CalibrationError(
            f"all images are of one class, {', '.join(map(repr, images.labels))}",
            hint="Give the folder above the class folders, with at least two of them.",
        )
    notes: list[str] = []
    files, facts = [], []
    for name, model in zip(names, models, strict=True):
        check_file(model.path)
        file = without_zipmap(model.path, scratch / name)
        if file.outputs:
            notes.append(
                f"{name}: ZipMap, which makes dictionaries of {', '.join(file.outputs)}, is left "
                "out of its copy in the repository"
            )
        files.append(file)
        facts.append(_named(inspect_onnx(file.path), file))
    outputs, chosen, faults = [], [], []
    for name, model, fact in zip(names, models, facts, strict=True):
        labels, from_file = _labels(model, fact)
        if labels is not None and not from_file:
            notes += labels.notes
        output, fault = _output(name, model, fact, labels, from_file, len(images.labels))
        chosen.append(output)
        faults.append(fault)
        outputs.append(
            ModelOutputs(
                name,
                (output or fact.outputs[0]).size,
                None if labels is None else labels.labels,
                from_file,
                {} if model.output is None else {"output": model.output},
                {} if labels is None else labels.synonyms,
            )
        )
    try:
        plan = kind_named(kind).plan(outputs, images.labels, aliases, restrict=restrict)
    except CalibrationError as error:
        raise next((fault for fault in faults if fault is not None), error) from None
    rungs = []
    for place, (name, model, fact) in enumerate(zip(names, models, facts, strict=True)):
        output, fault = chosen[place], faults[place]
        of_kind = plan.kind.outputs_read(plan.heads[place])
        if fault is not None and not of_kind:
            raise fault
        wanted = (output.name,) if output is not None and len(fact.outputs) > 1 else ()
        if wanted and not of_kind:
            notes.append(f"{name}: of {len(fact.outputs)} outputs, {output} is read")
        known, said = stated(name, model, fact)
        read, path = of_kind or wanted, files[place].path
        rung, found = plan_rung(name, known, fact, read, path, scratch / name)
        notes += [*said, *found]
        rungs.append(rung)
    return TaskPlan(plan.kind, plan.heads, tuple(rungs), (*notes, *plan.notes))


def _named(facts: ModelFacts, file: Unzipped) -> ModelFacts:
    """With the labels of the ZipMap: names before what the file says else, numbers after it."""
    if file.labels is not None and (file.named or facts.labels is None):
        return replace(facts, labels=file.labels)
    return facts


def _labels(model: ModelSource, facts: ModelFacts) -> tuple[Labels | None, bool]:
    """A model's labels, and whether they were found in or beside its file."""
    if model.labels is not None:
        return label_files.read_labels(model.labels), False
    beside = label_files.beside(model.path)
    with contextlib.suppress(CalibrationError, ValueError):  # nobody named these
        if facts.labels is not None:
            return label_files.named([[label] for label in facts.labels], model.path.name), True
        if beside is not None:
            return label_files.read_labels(beside), True
    return None, True


def _output(
    name: str,
    model: ModelSource,
    facts: ModelFacts,
    labels: Labels | None,
    from_file: bool,
    classes: int,
) -> tuple[Output | None, CalibrationError | None]:
    """The output that holds the scores, or what speaks against choosing one."""
    sizes = [] if labels is None else [len(labels.labels), len(labels.labels) + 1]
    if labels is None or from_file:
        sizes.append(classes)
    wanted = model.output_name
    if model.output is not None and wanted not in {output.name for output in facts.outputs}:
        wanted = None
    try:
        return choose_output(name, facts.outputs, wanted, sizes), None
    except CalibrationError as error:
        return None, error
