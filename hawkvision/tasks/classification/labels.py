"""One order of labels for all rungs and the data, mapped by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hawkvision.errors import CalibrationError
from hawkvision.tasks.base import ModelOutputs

_SUSPICIOUS_GAIN = 0.2


def plan_classification(
    models: Sequence[ModelOutputs],
    folders: Sequence[str],
    aliases: Mapping[str, str],
    *,
    restrict: bool,
) -> tuple[tuple[str, ...], list[tuple[int, ...]], list[str]]:
    """The task's labels, each model's columns for them (empty: in order), and notes.

    Raises CalibrationError where a model and the data know different classes.
    """
    notes: list[str] = []
    here = [aliases.get(folder, folder) for folder in folders]
    known = []
    for model in models:
        given = model.labels
        if given is not None and model.labels_from_file and not set(given) & set(here):
            notes.append(
                f"{model.name}: the labels in the file are not the data's; they are passed over"
            )
            given = None
        own, warning = own_labels(model.name, given, _outputs(model, given, folders), here)
        known.append((model.name, own))
        if warning:
            notes.append(warning)
    labels, selects, warnings = plan_labels(known, folders, aliases, restrict=restrict)
    return labels, selects, notes + warnings


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
    torchvision's ImageFolder and Keras do). Raises CalibrationError.
    """
    if known is not None:
        if len(known) != outputs:
            raise CalibrationError(
                f"{name} has {outputs} outputs but {len(known)} labels",
                hint="Give its own labels: FILE.onnx,labels=names.txt.",
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
    rungs: Sequence[tuple[str, tuple[str, ...]]],
    folders: Sequence[str],
    aliases: Mapping[str, str],
    *,
    restrict: bool,
) -> tuple[tuple[str, ...], list[tuple[int, ...]], list[str]]:
    """Map every rung and every class folder to the first rung's labels.

    The labels, each rung's columns for them (empty: in order), and warnings.

    `rungs` are (name, labels). With `restrict`, labels that the data has no images of are left
    out. Raises CalibrationError where a rung or a folder knows another class.
    """
    edge_name, edge = rungs[0]
    names = {folder: aliases.get(folder, folder) for folder in folders}
    unknown = sorted(label for label in set(names.values()) if label not in edge)
    if unknown:
        raise CalibrationError(
            f"the data has images of {_some(unknown)}, which {edge_name} does not know",
            hint="Check the model's labels= file, or map folder names with --aliases FILE.json.",
        )
    seen = set(names.values())
    labels = tuple(label for label in edge if label in seen) if restrict else edge
    warnings = []
    missing = [label for label in labels if label not in seen]
    if missing:
        warnings.append(
            f"no image of {_some(missing)}: the targets say nothing of "
            f"{'it' if len(missing) == 1 else 'them'}; add images, or use --restrict-to-data"
        )
    selects = []
    for name, own in rungs:
        lacking = [label for label in labels if label not in own]
        if lacking:
            raise CalibrationError(
                f"{name} does not know {_some(lacking)}, which {edge_name} does",
                hint="All rungs must know the task's classes; check the labels= files.",
            )
        if len(own) > len(labels):
            warnings.append(f"{name}: {len(own) - len(labels)} of its outputs are left out")
        index = {label: position for position, label in enumerate(own)}
        chosen = tuple(index[label] for label in labels)
        selects.append(() if chosen == tuple(range(len(own))) else chosen)
    return labels, selects, warnings


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
            hint="Check normalize=, channels=, size= and labels= of this model.",
        )
