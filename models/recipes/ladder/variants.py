"""The ladder of `imagenette`, from small to large, and the int8 file that each is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx

from hawkvision.errors import RepositoryError
from hawkvision.repository import Task
from models.recipes.floats import as_floats, without_mirror

TASK = "imagenette"
FILES = Path(__file__).parent
"""Where variants lie that are no rung of the task."""

Precision = Literal["int8", "fp32"]


def int8_file(task: Task, rung: str) -> Path:
    """A network's file: the task's rung, or else the ladder's own. Raises RepositoryError."""
    for one in task.rungs:
        if one.name == rung:
            return one.model.path
    path = FILES / f"{rung}.onnx"
    if task.name != TASK or not path.exists():
        raise RepositoryError(f"neither {task.name} nor its ladder has a network {rung!r}")
    return path


@dataclass(frozen=True, slots=True)
class Variant:
    """One network, made of the int8 file of `rung`."""

    name: str
    rung: str
    mirror: bool = True
    """False takes the averaging of mirror images out of a file that has it."""

    def model(self, source: Path, precision: Precision) -> onnx.ModelProto:
        """The network in a precision, made of its int8 file."""
        model = onnx.load(source)
        if not self.mirror:
            model = without_mirror(model)
        return model if precision == "int8" else as_floats(model)


VARIANTS = (
    Variant("tiny", "tiny"),
    Variant("edge", "edge"),
    Variant("small-plus", "small-plus"),
    Variant("medium", "medium"),
    Variant("dc-single", "dc", mirror=False),
    Variant("dc", "dc"),
)
