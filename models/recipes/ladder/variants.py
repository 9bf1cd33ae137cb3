"""The ladder of `imagenette`, from small to large, and the int8 file that each is made of.

A network answers at several costs: its input may be smaller, or it sees mirror images too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx

from hawkvision.errors import RepositoryError
from hawkvision.repository import Task
from models.recipes.floats import as_floats
from models.recipes.mirror import without_mirror

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
    """One network, made of the int8 file of `rung`.

    Without `mirror` it does not average mirror images, though the file does. `side` is that of its
    input in px, where it is another one than the file's.
    """

    name: str
    rung: str
    mirror: bool = True
    side: int | None = None

    def model(self, source: Path, precision: Precision) -> onnx.ModelProto:
        """The network in a precision, made of its int8 file."""
        model = onnx.load(source)
        if self.side is not None:
            model = with_side(model, self.side)
        if not self.mirror:
            model = without_mirror(model)
        return model if precision == "int8" else as_floats(model)


def with_side(model: onnx.ModelProto, side: int) -> onnx.ModelProto:
    """A copy of a file [N,H,W,3] that takes images of another size; its last layer averages."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    del made.graph.value_info[:]
    shape = made.graph.input[0].type.tensor_type.shape
    for axis in (1, 2):
        shape.dim[axis].dim_value = side
    onnx.checker.check_model(made, full_check=True)
    return made


VARIANTS = (
    Variant("tiny", "tiny"),
    Variant("edge-96", "edge", side=96),
    Variant("edge", "edge"),
    Variant("medium-single", "medium", mirror=False),
    Variant("medium", "medium"),
    Variant("dc-128", "dc", mirror=False, side=128),
    Variant("dc-single", "dc", mirror=False),
    Variant("dc", "dc"),
)
