"""Classifiers that end in ZipMap: dictionaries of scores, where tensors are wanted.

skl2onnx and onnxmltools end a classifier in `ai.onnx.ml` ZipMap unless they are told otherwise. A
copy is written in which it passes its input on: the scores, under the same name. Source: onnx.ai,
"ai.onnx.ml - ZipMap".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkvision.repository.onnx_graph import AS_INT, FLOAT, read_model
from hawkvision.repository.weights import copy_model

_NEWEST = 13
"""Of the operators that a file without any of the default domain is given."""


@dataclass(frozen=True, slots=True)
class Unzipped:
    """The file to read on, the classes that its ZipMap named, if one did, and whose output it was.

    `named` says that the classes are names, not numbers.
    """

    path: Path
    labels: tuple[str, ...] | None = None
    named: bool = False
    outputs: tuple[str, ...] = ()


def without_zipmap(path: Path, folder: Path) -> Unzipped:
    """The file itself where no output is a ZipMap's; else a copy in `folder` without it.

    Raises RepositoryError for a file that is no ONNX, or whose weights are not beside it.
    """
    graph = read_model(path).graph
    if not _zipmaps(graph):
        return Unzipped(path)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / path.name
    copy_model(path, copy)
    model = read_model(copy)
    found = []
    outputs = []
    for node in _zipmaps(model.graph):
        labels, named = _classes(node)
        found.append((labels, named))
        outputs.append(node.output[0].decode("utf-8", "replace"))
        node.op_type = b"Cast"  # of scores that may be double, which ZipMap itself does not take
        node.ClearField("domain")
        del node.attribute[:]
        node.attribute.add(name=b"to", type=AS_INT, i=FLOAT)
        for value in model.graph.output:
            if value.name == node.output[0]:
                _describe(value, len(labels))
    need_default_operators(model)
    copy.write_bytes(model.SerializeToString())
    labels, named = found[0] if len(set(found)) == 1 else ((), False)
    return Unzipped(copy, labels or None, named, tuple(outputs))


def need_default_operators(model: Any) -> None:
    """Let a file use the default operators; one of trees alone may have imported none."""
    if not any(one.domain in (b"", b"ai.onnx") for one in model.opset_import):
        model.opset_import.add(domain=b"", version=_NEWEST)


def _describe(value: Any, classes: int) -> None:
    """Floats [N,`classes`]; 0 where the number is not known."""
    value.ClearField("type")
    tensor = value.type.tensor_type
    tensor.elem_type = FLOAT
    tensor.shape.dim.add()
    tensor.shape.dim.add(**({"dim_value": classes} if classes else {}))


def _zipmaps(graph: Any) -> list[Any]:
    """The ZipMap nodes that make an output of the file."""
    outputs = {value.name for value in graph.output}
    return [
        node
        for node in graph.node
        if node.op_type == b"ZipMap" and node.domain == b"ai.onnx.ml" and node.output[0] in outputs
    ]


def _classes(node: Any) -> tuple[tuple[str, ...], bool]:
    for attribute in node.attribute:
        if attribute.name == b"classlabels_strings" and attribute.strings:
            return tuple(one.decode("utf-8", "replace") for one in attribute.strings), True
        if attribute.name == b"classlabels_int64s" and attribute.ints:
            return tuple(str(one) for one in attribute.ints), False
    return (), False
