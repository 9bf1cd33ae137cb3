"""Give a published task its reference images: `python -m models.recipes.references`.

The images are drawn by the renderer of road signs, whatever the task shows: numerics do not depend
on what a picture means, and the photos that a task was made of need not ship with it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from hawkvision import roadsigns
from hawkvision.repository import Repository, Task, read_task, shipped_repository, write_task
from hawkvision.rungs import LoadedRung, Pixels
from hawkvision.taskbuild.numerics import IMAGES, make_references, numerics_of

SIDE = 224
SEED = 1968


def drawn(count: int = IMAGES) -> list[Pixels]:
    """Signs of different classes, uint8 [SIDE,SIDE,3]."""
    step = len(roadsigns.CLASSES) // count
    return [roadsigns.render(index * step, seed=SEED + index, size=SIDE) for index in range(count)]


def add_references(task: Task, engine: str) -> Task:
    """Write `references.npz` and name the numerics in `task.toml`."""
    images = drawn()
    rungs = [LoadedRung.open(rung, task.kind, engine=engine) for rung in task.rungs]
    try:
        references = make_references(
            rungs,
            [rung.model for rung in task.rungs],
            [[rung.fit(image) for image in images] for rung in rungs],
        )
        numerics = numerics_of(rungs[0].engine.metadata, engine)
    finally:
        for rung in rungs:
            rung.close()
    path = task.folder / "references.npz"
    references.save(path)
    write_task(replace(task, numerics=replace(numerics, references=path)))
    for name, found in references.rungs.items():
        print(f"{task.name} {name}: tolerance {found.tolerance:.4f}")
    return read_task(task.folder)


@click.command()
@click.argument("tasks", nargs=-1)
@click.option("--repository", type=click.Path(path_type=Path), default=shipped_repository)
@click.option("--engine", default="onnx", show_default=True)
def main(tasks: tuple[str, ...], repository: Path, engine: str) -> None:
    """Add reference images to TASKS, or to all."""
    found = Repository(repository)
    for name in tasks or found.tasks():
        add_references(found.open(name), engine)


if __name__ == "__main__":
    main()
