"""Give a task the files that one engine wants, with a certificate of their own."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hawkvision.errors import CalibrationError
from hawkvision.repository import References, Rung, Task, read_task, write_task
from hawkvision.repository.task import digest
from hawkvision.repository.weights import copy_model
from hawkvision.taskbuild.version import next_version


def add_flavour(task: Task, made: Task, name: str) -> Task:
    """The next version of `task`, with the files of `made` as its flavour `name`.

    `made` is the same task built of the flavour's files on the same images; it may lie anywhere.
    The version appears only when whole. Raises CalibrationError where the two do not fit, or
    RepositoryError.
    """
    out = task.folder.parent.parent
    final = out / task.name / next_version(out, task.name)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out) as scratch:
        folder = Path(scratch) / task.name / final.name
        shutil.copytree(task.folder, folder)
        lay_beside(read_task(folder), made, name)
        folder.rename(final)
    return read_task(final)


def lay_beside(task: Task, made: Task, name: str) -> Task:
    """Write the flavour into the folder of `task` itself; a rung with the same file shares it.

    Raises as `add_flavour`.
    """
    _check(task, made)
    plain, own = task.references(), made.references()
    if plain is None or own is None or task.numerics is None or made.numerics is None:
        raise CalibrationError(
            f"task {task.name!r} names no numerics", hint="Calibrate it again first."
        )
    if missing := [rung.name for rung in task.every_rung if not rung.present]:
        raise CalibrationError(
            f"the model of rung {missing[0]!r} is not here", hint="Pull the whole version first."
        )
    pairs = zip(task.rungs, made.rungs, strict=True)
    rungs = tuple(_beside(plain, own, task.folder, name) for plain, own in pairs)
    calibration = task.folder / f"calibration.{name}.npz"
    shutil.copyfile(made.calibration, calibration)
    file = task.numerics.references
    shared = [rung.name for rung in rungs if rung.model.path == task.rung(rung.name).model.path]
    References.load(file).with_flavour(name, own.without(shared)).save(file)
    flavour = replace(
        task,
        rungs=rungs,
        calibration=calibration,
        flavours={},
        numerics=replace(made.numerics, references=file),
    )
    others = {key: one for key, one in task.flavours.items() if key != name}
    write_task(replace(task, flavours={**others, name: flavour}))
    return read_task(task.folder)


def _check(task: Task, made: Task) -> None:
    """Raise CalibrationError unless `made` is the same task on the same images."""
    for what, one, other in (
        ("rungs", [rung.name for rung in task.rungs], [rung.name for rung in made.rungs]),
        ("kind and labels", task.kind.as_table(), made.kind.as_table()),
        ("kind", task.kind.name, made.kind.name),
    ):
        if one != other:
            raise CalibrationError(
                f"the {what} of task {task.name!r} and of its flavour differ",
                hint="Give the same labels, --aliases and rungs as for the task itself.",
            )
    task.scores().below(made.scores())


def _beside(plain: Rung, own: Rung, folder: Path, name: str) -> Rung:
    """The flavour's rung with its file in `folder`, or the plain one where the file is the same."""
    if digest(plain.model.path) == digest(own.model.path):
        return plain
    path = folder / f"{plain.name}.{name}.onnx"
    copy_model(own.model.path, path)
    return replace(own, model=replace(own.model, path=path))
