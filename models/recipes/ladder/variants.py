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


@dataclass(frozen=True, slots=True)
class Variant:
    """One network; `rung` names it among the task's rungs, or else among the ladder's own files."""

    name: str
    rung: str
    mirror: bool = True
    """False takes the averaging of mirror images out of a file that has it."""

    def source(self, task: Task) -> Path:
        """The int8 file: the task's rung, or else the ladder's own. Raises RepositoryError."""
        for rung in task.rungs:
            if rung.name == self.rung:
                return rung.model.path
        path = FILES / f"{self.rung}.onnx"
        if not path.exists():
            raise RepositoryError(f"neither {task.name} nor the ladder has a network {self.rung!r}")
        return path

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
