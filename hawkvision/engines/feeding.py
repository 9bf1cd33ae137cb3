"""Batches as a model file takes them, and its outputs as every engine gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hawkvision.engines.base import Batch, ModelSpec
from hawkvision.errors import EngineError
from hawkvision.tasks.base import Outputs


def feed(batch: Batch, spec: ModelSpec) -> Batch:
    """A batch [N,C,H,W] in the file's own channel order, layout and type.

    uint8 stays a view where nothing has to be computed; for files of floats it is normalised.
    """
    if spec.channels == "BGR":
        batch = batch[:, ::-1]
    x: Batch = batch.transpose(0, 2, 3, 1) if spec.layout == "NHWC" else batch
    if spec.dtype != "uint8" and x.dtype == np.uint8:
        x = _normalised(x, spec)
    if spec.dtype in ("float16", "float64"):
        with np.errstate(over="ignore"):  # beyond float16 is infinity, and the answer NaN
            x = x.astype(spec.dtype)
    return x


def _normalised(x: Batch, spec: ModelSpec) -> Batch:
    shape = (1, 1, 1, -1) if spec.layout == "NHWC" else (1, -1, 1, 1)
    mean = np.asarray(spec.mean, np.float32).reshape(shape)
    inverse = (1 / np.asarray(spec.std, np.float32)).reshape(shape)
    return np.asarray((x.astype(np.float32) - mean) * inverse, np.float32)


def in_parts(x: Batch, size: int, run: Callable[[Batch], Outputs]) -> Outputs:
    """Run parts of at most `size` images and put their outputs together; one part as it is."""
    if len(x) <= size:
        return run(x)
    parts = [run(x[start : start + size]) for start in range(0, len(x), size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def padded(x: Batch, size: int) -> Batch:
    """At least `size` images: the last one repeated."""
    missing = size - len(x)
    return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) if missing > 0 else x


def rows(out: Any, count: int, name: str, file: str) -> Any:
    """An output as float32 [N,…], also of a file that leaves N out. Raises EngineError."""
    if not isinstance(out, np.ndarray) or out.size == 0 or out.size % count:
        shape = out.shape if isinstance(out, np.ndarray) else type(out).__name__
        raise EngineError(
            f"output {name!r} of {file} is {shape}, no numbers for {count} images",
            hint="Name another output in task.toml, or export the model again.",
        )
    if out.ndim == 0 or len(out) != count:
        out = out.reshape(count, -1)
    return out.astype(np.float32, copy=False)


def image_shape(shape: Sequence[Any], spec: ModelSpec) -> tuple[int, int, int]:
    """(C,H,W) of an input [N,C,H,W] or [N,H,W,C]; -1 where any size is taken."""
    sides = [side if isinstance(side, int) else -1 for side in shape[1:]]
    if spec.layout == "NHWC":
        return sides[2], sides[0], sides[1]
    return sides[0], sides[1], sides[2]


def wanted_outputs(spec: ModelSpec, present: Sequence[str]) -> list[str]:
    """The outputs that are asked for, else the first. Raises EngineError for one that is not."""
    wanted = list(spec.outputs) or list(present[:1])
    if missing := sorted(set(wanted) - set(present)):
        raise EngineError(
            f"{spec.path.name} has no output {missing[0]!r}",
            hint=f"Its outputs: {', '.join(present)}.",
        )
    return wanted


def check_image_input(spec: ModelSpec, shapes: Sequence[Sequence[Any]], outputs: int) -> None:
    """Raise EngineError for a file that does not take one batch of images."""
    if len(shapes) != 1 or outputs < 1 or len(shapes[0]) != 4:
        raise EngineError(
            f"{spec.path.name} takes no image: "
            f"{len(shapes)} inputs of shapes {[list(shape) for shape in shapes]}",
            hint="One input [N,C,H,W] or [N,H,W,C] and an output [N,…] are expected.",
        )
