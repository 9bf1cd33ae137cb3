"""Models of flat rows [N,F]: which images a row can be, and a copy of the model that takes them.

scikit-learn, LightGBM and the like see an image as one row of numbers. Which way it was flattened
stands nowhere: by pixel (HWC, as numpy flattens an image), by colour (CHW, as CIFAR-10's files
are), or one grey number a pixel.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any, Literal

from hawkvision.errors import CalibrationError
from hawkvision.repository.onnx_graph import (
    AS_INT,
    AS_TENSOR,
    FLOAT,
    INT32,
    INT64,
    UINT8,
    read_model,
)
from hawkvision.repository.weights import copy_model
from hawkvision.taskbuild.zipmap import need_default_operators

Order = Literal["HWC", "CHW", "grey"]
ORDERS: tuple[Order, ...] = ("HWC", "CHW", "grey")
_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as Pillow's `convert("L")` and OpenCV's `COLOR_RGB2GRAY` have it."""
_WHOLE = frozenset({UINT8, INT32, INT64})
"""Such rows are pixels, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A way in which a row is an image of `width` x `height` px."""

    order: Order
    width: int
    height: int

    @property
    def numbers(self) -> int:
        """The length of a row."""
        return self.width * self.height * (1 if self.order == "grey" else 3)

    @property
    def layout(self) -> Literal["NCHW", "NHWC"]:
        """Of the images that the copy takes."""
        return "NCHW" if self.order == "CHW" else "NHWC"


def readings(
    model: str, numbers: int | None, size: tuple[int, int] | None, order: Order | None
) -> tuple[Reading, ...]:
    """The ways in which rows of so many numbers (None: the file leaves it open) are images.

    `size` (width, height) and `order` are what the user says; without a size images are square.
    Raises CalibrationError where there is none, saying which there could be.
    """
    if numbers is None:
        if size is None or order is None:
            raise CalibrationError(
                f"{model} takes rows of any length; say which images it was trained on",
                hint=f"{model},size=16,layout=HWC (or CHW, or grey).",
            )
        return (Reading(order, *size),)
    sizes = [size] if size is not None else [_square(numbers / 3), _square(numbers)]
    found = tuple(
        reading
        for one in sizes
        if one is not None
        for reading in (Reading(kind, *one) for kind in ORDERS)
        if reading.numbers == numbers and order in (None, reading.order)
    )
    if found:
        return found
    said = [f"size={size[0]}x{size[1]}"] if size is not None else []
    said += [f"layout={order}"] if order is not None else []
    raise CalibrationError(
        f"{model} takes rows of {numbers} numbers, which is no "
        f"{'image of ' + ' and '.join(said) if said else 'square image'}",
        hint=_could_be(numbers, size),
    )


def _square(pixels: float) -> tuple[int, int] | None:
    side = isqrt(int(pixels))
    return (side, side) if side and side * side == pixels else None


def _could_be(numbers: int, size: tuple[int, int] | None) -> str:
    if size is not None:
        pixels = size[0] * size[1]
        return f"{size[0]}x{size[1]} px are {3 * pixels} numbers in colour, {pixels} in grey."
    colour, grey = isqrt(numbers // 3), isqrt(numbers)
    sides = (
        *((f"3*{side}*{side} = {3 * side * side}") for side in (colour, colour + 1) if side),
        *((f"{side}*{side} = {side * side}") for side in (grey, grey + 1)),
    )
    return (
        f"A row is an image of S x S px in colour (3*S*S) or in grey (S*S), next to this "
        f"{', '.join(sides)}; for another shape say size=WxH. A model of features that are "
        "computed first is no model of images."
    )


def take_images(source: Path, reading: Reading, target: Path) -> None:
    """Write a copy of a model of rows that takes images instead, float32 or uint8.

    Its input is `reading.layout`, RGB; uint8 where the rows are whole numbers. Raises
    RepositoryError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_model(source, target)
    model = read_model(target)
    graph = model.graph
    kept = {tensor.name for tensor in graph.initializer}
    rows = next(value for value in graph.input if value.name not in kept)
    wanted = rows.type.tensor_type.elem_type
    taken = UINT8 if wanted in _WHOLE else FLOAT
    front = _Front(graph)
    image = front.value
    if reading.order == "grey":
        front.cast(FLOAT)
        front.add(b"MatMul", front.constant(FLOAT, (3, 1), struct.pack("<3f", *_LUMA)))
        if wanted in _WHOLE:  # a cast cuts off
            front.add(b"Add", front.constant(FLOAT, (), struct.pack("<f", 0.5)))
    front.cast(wanted)
    shape = struct.pack("<2q", -1, reading.numbers)
    front.add(b"Reshape", front.constant(INT64, (2,), shape), gives=rows.name)
    front.nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(front.nodes)
    _describe(rows, image, taken, reading)
    need_default_operators(model)
    target.write_bytes(model.SerializeToString())


class _Front:
    """Nodes to be put in front of a graph's own; `value` is the name of what the last one gives."""

    def __init__(self, graph: Any) -> None:
        self.nodes = type(graph)().node
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)} | {
            value.name for value in (*graph.input, *graph.initializer)
        }
        self.value = self._new(b"image")

    def _new(self, name: bytes) -> bytes:
        while name in self._taken:
            name += b"_"
        self._taken.add(name)
        return name

    def add(self, operator: bytes, *more: bytes, gives: bytes | None = None) -> Any:
        """An operator on `value` and `more`; what it gives is called `gives`, or as it comes."""
        out = self._new(operator.lower()) if gives is None else gives
        node = self.nodes.add(op_type=operator, input=[self.value, *more], output=[out])
        self.value = out
        return node

    def cast(self, kind: int) -> None:
        """To a TensorProto.DataType."""
        self.add(b"Cast").attribute.add(name=b"to", type=AS_INT, i=kind)

    def constant(self, kind: int, sides: tuple[int, ...], data: bytes) -> bytes:
        """The name of a tensor; `data` is little endian."""
        name = self._new(b"constant")
        node = self.nodes.add(op_type=b"Constant", output=[name])
        value = node.attribute.add(name=b"value", type=AS_TENSOR)
        value.t.data_type, value.t.raw_data = kind, data
        value.t.dims.extend(sides)
        return name


def _describe(value: Any, name: bytes, kind: int, reading: Reading) -> None:
    """Turn the description of an input of rows into one of images; the batch stays as it is."""
    value.name = name
    tensor = value.type.tensor_type
    tensor.elem_type = kind
    del tensor.shape.dim[1:]
    height, width = reading.height, reading.width
    sides = (3, height, width) if reading.layout == "NCHW" else (height, width, 3)
    for side in sides:
        tensor.shape.dim.add(dim_value=side)
