"""One order of labels for all rungs and the data, mapped by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hawkvision.errors import CalibrationError
from hawkvision.tasks.base import ModelOutputs

_SUSPICIOUS_GAIN = 0.2
_IMAGENET = 1000
_BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class Names:
    """One rung's labels in the order of its outputs, and other names of outputs by their place."""

    rung: str
    labels: tuple[str, ...]
    synonyms: Mapping[str, int] = field(default_factory=dict)

    def find(self, name: str) -> int | None:
        """The output that is called `name`."""
        place = self.synonyms.get(name)
        return self.labels.index(name) if name in self.labels else place

    def all_of(self, place: int) -> list[str]:
        """Every name of an output, its label first."""
        return [self.labels[place], *(name for name, at in self.synonyms.items() if at == place)]


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """The task's labels, other names of them, each rung's columns (empty: in order), and notes."""

    labels: tuple[str, ...]
    aliases: Mapping[str, str]
    selects: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]


def plan_classification(
    models: Sequence[ModelOutputs],
    folders: Sequence[str],
    aliases: Mapping[str, str],
    *,
    restrict: bool,
) -> LabelPlan:
    """One order of labels for models and data. Raises CalibrationError where they know others."""
    notes: list[str] = []
    here = {aliases.get(folder, folder) for folder in folders}
    called = _also_called(models, here)
    known = []
    for model in models:
        given = model.labels
        if given is not None and model.labels_from_file:
            size = _outputs(model, given, folders)
            fit = len(given) in (size, size - 1) and (called & {*given, *model.synonyms})
            if not fit:
                notes.append(
                    f"{model.name}: the labels in the file are not the data's; they are passed over"
                )
                given = None
        outputs = _outputs(model, given, folders)
        own, warning = own_labels(model.name, given, outputs, sorted(here))
        shift = len(own) - len(given) if given is not None else 0
        synonyms = {name: at + shift for name, at in model.synonyms.items()} if given else {}
        known.append(Names(model.name, own, synonyms))
        if warning:
            notes.append(warning)
    found = plan_labels(known, folders, aliases, restrict=restrict)
    return replace(found, notes=(*notes, *found.notes))


def _also_called(models: Sequence[ModelOutputs], names: set[str]) -> set[str]:
    """These names of classes, and all others that a model has for the same outputs."""
    found = set(names)
    for model in models:
        if model.labels is not None:
            own = Names(model.name, model.labels, model.synonyms)
            places = {own.find(name) for name in names}
            found.update(name for at in places if at is not None for name in own.all_of(at))
    return found


def _outputs(model: ModelOutputs, given: tuple[str, ...] | None, folders: Sequence[str]) -> int:
    """Number of classes; a file that leaves it open is taken to have as many as are named."""
    if model.size is None:
        return len(given) if given is not None else len(folders)
    return 2 if model.size == 1 else model.size


def own_labels(
    name: str, known: tuple[str, ...] | None, outputs: int, folders: Sequence[str]
) -> tuple[tuple[str, ...], str | None]:
    """A model's labels in the order of its outputs, and a warning where they were assumed.

    Without known labels, the data's sorted class folders are assumed where their number fits (as
    torchvision's ImageFolder and Keras do). ImageNet's 1,000 labels for 1,001 outputs leave the
    first one to the background, as TensorFlow's models do. Raises CalibrationError.
    """
    if known is not None and len(known) == _IMAGENET and outputs == _IMAGENET + 1:
        return (_BACKGROUND, *known), (
            f"{name}: 1001 outputs and 1000 labels; the first output is taken for the background"
        )
    if known is not None:
        if len(known) != outputs:
            hint = "Give its own labels: FILE.onnx,labels=names.txt."
            if len(known) + 1 == outputs:
                hint += f" An output for the background needs a line too: {_BACKGROUND}."
            raise CalibrationError(
                f"{name} has {outputs} outputs but {len(known)} labels", hint=hint
            )
        return known, None
    if len(folders) != outputs:
        raise CalibrationError(
            f"{name} has {outputs} outputs, the data {len(folders)} classes",
            hint="Give its labels in the order of its outputs: FILE.onnx,labels=names.txt.",
        )
    return tuple(folders), (
        f"{name}: no labels given; its outputs are taken to be the class folders in sorted order"
    )


def plan_labels(
    rungs: Sequence[Names],
    folders: Sequence[str],
    aliases: Mapping[str, str],
    *,
    restrict: bool,
) -> LabelPlan:
    """Map every rung and every class folder to the first rung's labels, by any of their names.

    With `restrict`, labels that the data has no images of are left out. Raises CalibrationError
    where a rung or a folder knows another class.
    """
    edge = rungs[0]
    places = {folder: _place(rungs, aliases.get(folder, folder)) for folder in folders}
    unknown = sorted(aliases.get(folder, folder) for folder in folders if places[folder] is None)
    if unknown:
        raise CalibrationError(
            f"the data has images of {_some(unknown)}, which {edge.rung} does not know",
            hint=_told_apart(unknown[0], edge)
            or "Check the model's labels= file, or map folder names with --aliases FILE.json.",
        )
    seen = {edge.labels[place] for place in places.values() if place is not None}
    labels = tuple(label for label in edge.labels if label in seen) if restrict else edge.labels
    warnings = []
    missing = [label for label in labels if label not in seen and label != _BACKGROUND]
    if missing:
        warnings.append(
            f"no image of {_some(missing)}: the targets say nothing of "
            f"{'it' if len(missing) == 1 else 'them'}; add images, or use --restrict-to-data"
        )
    selects = []
    for rung in rungs:
        columns = {label: _column(rung, edge, label) for label in labels}
        lacking = [label for label, column in columns.items() if column is None]
        if lacking:
            raise CalibrationError(
                f"{rung.rung} does not know {_some(lacking)}, which {edge.rung} does",
                hint="All rungs must know the task's classes; check the labels= files.",
            )
        if len(rung.labels) > len(labels):
            left_out = len(rung.labels) - len(labels)
            warnings.append(f"{rung.rung}: {left_out} of its outputs are left out")
        chosen = tuple(column for column in columns.values() if column is not None)
        selects.append(() if chosen == tuple(range(len(rung.labels))) else chosen)
    named = {
        name: edge.labels[place]
        for folder, place in places.items()
        if place is not None
        for name in (folder, aliases.get(folder, folder))
        if name not in labels
    }
    return LabelPlan(labels, named, tuple(selects), tuple(warnings))


def _place(rungs: Sequence[Names], name: str) -> int | None:
    """The first rung's output of that name, by way of another rung's names where needed."""
    edge = rungs[0]
    direct = edge.find(name)
    if direct is not None:
        return direct
    for rung in rungs[1:]:
        place = rung.find(name)
        for other in rung.all_of(place) if place is not None else ():
            found = edge.find(other)
            if found is not None:
                return found
    return None


def _column(rung: Names, edge: Names, label: str) -> int | None:
    """The column of a rung for a label of the first one."""
    direct = rung.find(label)
    if direct is not None or rung is edge:
        return direct
    place = edge.labels.index(label)
    found = (rung.find(name) for name in edge.all_of(place))
    return next((column for column in found if column is not None), None)


def _told_apart(name: str, rung: Names) -> str:
    """What to do where a folder's name stands for several outputs; empty where it does not."""
    several = [label for label in rung.labels if label.startswith(f"{name} (")]
    if len(several) < 2:
        return ""
    return (
        f"{name!r} stands for several outputs, {_some(several)}: say which with "
        f'--aliases FILE.json, {{"{name}": "{several[0]}"}}.'
    )


def _some(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return ", ".join(repr(label) for label in labels[:3]) + more


def check_order(
    name: str, guess: npt.NDArray[np.integer], labels: npt.NDArray[np.integer], classes: int
) -> None:
    """Raise CalibrationError where a model answers well but under the wrong names, or by chance."""
    from scipy.optimize import linear_sum_assignment

    accuracy = float((guess == labels).mean())
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (guess, labels), 1)
    rows, columns = linear_sum_assignment(confusion, maximize=True)
    best = float(confusion[rows, columns].sum() / len(labels))
    if best >= accuracy + _SUSPICIOUS_GAIN:
        raise CalibrationError(
            f"{name} is right on {accuracy:.0%} of the images, but on {best:.0%} if its outputs "
            "are in another order",
            hint="Give its labels in the order of its outputs: FILE.onnx,labels=names.txt.",
        )
    chance = np.bincount(labels, minlength=classes).max() / len(labels)
    margin = 2 * (chance * (1 - chance) / len(labels)) ** 0.5
    if accuracy <= chance + margin:
        raise CalibrationError(
            f"{name} is right on {accuracy:.0%} of the images; always naming the most frequent "
            f"class would be right on {chance:.0%}",
            hint="Check normalize=, channels=, size=, layout= and labels= of this model.",
        )
