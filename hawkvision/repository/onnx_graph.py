"""The few parts of an ONNX file that are looked at or changed, without the package `onnx`.

Where tensors say that their values lie in other files, which operators there are, and what the
graph takes and gives. All else of a file is kept as it is when it is written again. Field numbers:
github.com/onnx/onnx, `onnx.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from hawkvision.errors import RepositoryError

_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Model": {
        "graph": (7, "Graph"),
        "opset_import": (8, "*Opset"),
        "functions": (25, "*Function"),
    },
    "Opset": {"domain": (1, "text"), "version": (2, "long")},
    "Graph": {
        "node": (1, "*Node"),
        "initializer": (5, "*Tensor"),
        "input": (11, "*Value"),
        "output": (12, "*Value"),
        "sparse_initializer": (15, "*Sparse"),
    },
    "Function": {"node": (7, "*Node")},
    "Node": {
        "input": (1, "*text"),
        "output": (2, "*text"),
        "op_type": (4, "text"),
        "attribute": (5, "*Attribute"),
        "domain": (7, "text"),
    },
    "Value": {"name": (1, "text"), "type": (2, "Type")},
    "Type": {"tensor_type": (1, "TensorType")},
    "TensorType": {"elem_type": (1, "number"), "shape": (2, "Shape")},
    "Shape": {"dim": (1, "*Side")},
    "Side": {"dim_value": (1, "long"), "dim_param": (2, "text")},
    "Attribute": {
        "name": (1, "text"),
        "i": (3, "long"),
        "t": (5, "Tensor"),
        "g": (6, "Graph"),
        "ints": (8, "*long"),
        "strings": (9, "*text"),
        "tensors": (10, "*Tensor"),
        "graphs": (11, "*Graph"),
        "type": (20, "number"),
        "sparse_tensor": (22, "Sparse"),
        "sparse_tensors": (23, "*Sparse"),
    },
    "Sparse": {"values": (1, "Tensor"), "indices": (2, "Tensor")},
    "Tensor": {
        "dims": (1, "*long"),
        "data_type": (2, "number"),
        "name": (8, "text"),
        "raw_data": (9, "text"),
        "external_data": (13, "*Entry"),
        "data_location": (14, "number"),
    },
    "Entry": {"key": (1, "text"), "value": (2, "text")},
}
_EXTERNAL = 1
FLOAT, UINT8, INT32, INT64 = 1, 2, 6, 7
"""TensorProto.DataType."""
AS_INT, AS_TENSOR = 2, 4
"""AttributeProto.AttributeType."""


def _model_class() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    types = {"text": field.TYPE_BYTES, "number": field.TYPE_INT32, "long": field.TYPE_INT64}
    file = descriptor_pb2.FileDescriptorProto(name="onnx_graph.proto", package="hawkvision.onnx")
    for name, fields in _FIELDS.items():
        made = file.message_type.add(name=name)
        for key, (number, kind) in fields.items():
            label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
            one = made.field.add(name=key, number=number, label=label)
            kind = kind.removeprefix("*")
            if kind in _FIELDS:
                one.type, one.type_name = field.TYPE_MESSAGE, f".hawkvision.onnx.{kind}"
            else:
                one.type = types[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("hawkvision.onnx.Model"))


_Model = _model_class()


def read_model(path: Path) -> Any:
    """The file's parts. Raises RepositoryError for one that is no ONNX file."""
    try:
        return _Model.FromString(path.read_bytes())
    except (message.DecodeError, OSError) as error:
        raise RepositoryError(
            f"{path.name} cannot be read as ONNX: {error}", hint="Give a whole ONNX file."
        ) from error


def external_tensors(model: Any) -> Iterator[Any]:
    """Tensors, wherever in the model, whose values lie in other files."""
    yield from (
        tensor
        for tensor in _tensors(model)
        if tensor.data_location == _EXTERNAL or tensor.external_data
    )


def operators(model: Any) -> set[str]:
    """The operators of the model and of all graphs within."""
    return {node.op_type.decode("utf-8", "replace") for node in _nodes(model)}


def _graphs(model: Any) -> Iterator[Any]:
    """Everything that holds nodes: the graph, functions, and the graphs of branches and loops."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend(attribute.graphs)
                if attribute.HasField("g"):
                    waiting.append(attribute.g)


def _nodes(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    sparse: list[Any] = []
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        sparse.extend(getattr(graph, "sparse_initializer", ()))
        for node in graph.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                sparse.extend((attribute.sparse_tensor, *attribute.sparse_tensors))
    for one in sparse:
        yield from (one.values, one.indices)
