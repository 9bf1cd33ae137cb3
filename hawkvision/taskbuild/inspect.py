"""What a model file says of itself: input shape, layout, type, outputs, labels."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hawkvision.engines import onnx_runtime
from hawkvision.engines.base import Dtype
from hawkvision.errors import EngineError, RepositoryError
from hawkvision.repository.weights import find_weights
from hawkvision.taskbuild.outputs import Output

_TYPES: dict[str, Dtype] = {
    "tensor(uint8)": "uint8",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}
_ROW_TYPES: dict[str, Dtype] = {
    "tensor(uint8)": "uint8",
    "tensor(int32)": "uint8",
    "tensor(int64)": "uint8",
    "tensor(float16)": "float32",
    "tensor(float)": "float32",
    "tensor(double)": "float32",
}
"""What the copy takes that is written for them (`taskbuild.rows`)."""
_LABEL_KEYS = ("names", "labels", "classes", "class_names")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`width` and `height` are None where the file leaves them open.

    `rows` says that it takes flat rows [N,`width`] (None: of any length) and no images.
    """

    layout: Literal["NCHW", "NHWC"]
    dtype: Dtype
    width: int | None
    height: int | None
    outputs: tuple[Output, ...]
    labels: tuple[str, ...] | None
    rows: bool = False


def check_file(path: Path) -> None:
    """Raise EngineError for what is no ONNX file with all of its weights beside it."""
    if not path.is_file():
        raise EngineError(f"{path} is not a file", hint="Give an ONNX file.")
    if path.suffix != ".onnx":
        raise EngineError(f"{path.name} is no .onnx file", hint="Export the model as ONNX.")
    try:
        find_weights(path)
    except RepositoryError as error:
        raise EngineError(error.message, hint=error.hint) from error


def inspect_onnx(path: Path) -> ModelFacts:
    """Read an ONNX network's input and outputs.

    Raises EngineError for one that takes no image, or whose weights are not beside it, and where
    ONNX Runtime is not installed.
    """
    onnxruntime = onnx_runtime()
    check_file(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime raises its own, unexported, types
        raise EngineError(
            f"ONNX Runtime cannot load {path.name}: {str(error).splitlines()[0]}",
            hint="Export the model as ONNX; weights kept in a second file must lie beside it.",
        ) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise EngineError(
            f"{path.name} has {len(inputs)} inputs: {', '.join(item.name for item in inputs)}",
            hint="A classifier has one, the image [N,3,H,W] or [N,H,W,3].",
        )
    layout, height, width = _geometry(path.name, inputs[0].shape)
    rows = len(inputs[0].shape) == 2
    types = _ROW_TYPES if rows else _TYPES
    if inputs[0].type not in types:
        raise EngineError(
            f"{path.name} takes {inputs[0].type}, not pixels",
            hint="Export it with a float or uint8 input.",
        )
    return ModelFacts(
        layout=layout,
        dtype=types[inputs[0].type],
        width=width,
        height=height,
        outputs=tuple(Output.described(item.name, item.type, item.shape) for item in outputs),
        labels=labels_of(session.get_modelmeta().custom_metadata_map),
        rows=rows,
    )


def _geometry(
    name: str, shape: list[Any]
) -> tuple[Literal["NCHW", "NHWC"], int | None, int | None]:
    if 0 in shape:
        raise EngineError(
            f"the input of {name} has shape {shape}: a side of 0 holds nothing",
            hint="Export it again with a real image as its example.",
        )
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape]
    if len(sides) == 4 and sides[1] == 3:
        return "NCHW", sides[2], sides[3]
    if len(sides) == 4 and sides[3] == 3:
        return "NHWC", sides[1], sides[2]
    if len(sides) == 2:
        return "NHWC", None, sides[1]
    raise EngineError(
        f"the input of {name} has shape {shape}; three colour channels are not where they "
        "should be",
        hint="One input [N,3,H,W] or [N,H,W,3] is expected, its channels fixed, or flat rows [N,F] "
        "of images.",
    )


def labels_of(metadata: dict[str, str]) -> tuple[str, ...] | None:
    """Labels that an exporter left in the file's metadata, as JSON or as a Python dict's text."""
    for key in _LABEL_KEYS:
        text = metadata.get(key, "")
        labels = _from_json(text) or _from_dict_text(text)
        if labels and all(label.strip() for label in labels) and len(set(labels)) >= 2:
            return labels
    return None


def _from_json(text: str) -> tuple[str, ...] | None:
    try:
        raw = json.loads(text)
    except ValueError:
        return None
    if isinstance(raw, dict) and sorted(raw) == sorted(str(i) for i in range(len(raw))):
        raw = [raw[str(index)] for index in range(len(raw))]
    return tuple(str(label) for label in raw) if isinstance(raw, list) else None


def _from_dict_text(text: str) -> tuple[str, ...] | None:
    """`{0: 'cat', 1: "dog"}`, as Ultralytics writes it."""
    found = re.findall(r"(\d+)\s*:\s*(?:'([^']*)'|\"([^\"]*)\")", text[:1_000_000])
    indexed = {int(index): one or two for index, one, two in found}
    if not indexed or sorted(indexed) != list(range(len(indexed))):
        return None
    return tuple(indexed[index] for index in range(len(indexed)))
