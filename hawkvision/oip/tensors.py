"""Tensors of any datatype as bytes, little-endian and row-major, and back.

Source: Open Inference Protocol v2, "Tensor Data Types"; BF16 is Triton's, and never JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hawkvision.errors import InvalidRequest
from hawkvision.oip.codec import pack_bytes, unpack_bytes
from hawkvision.oip.messages import InputTensor, OutputTensor

BF16 = "BF16"
_TYPES = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    BF16: "<u2",
}
_DEEPEST = 8


def pack(tensor: OutputTensor) -> bytes:
    """The elements of a tensor of a reply; its datatype is one that there is."""
    if tensor.datatype == "BYTES":
        return pack_bytes(list(tensor.values.flat))
    return np.ascontiguousarray(tensor.values, _TYPES[tensor.datatype]).tobytes()


def unpack(
    datatype: str, shape: Sequence[int], raw: bytes | None, typed: Sequence[Any]
) -> npt.NDArray[Any]:
    """A tensor from its bytes or, where those are None, from its elements.

    Raises ValueError where they do not fit.
    """
    if datatype == "BYTES":
        texts = list(typed) if raw is None else unpack_bytes(raw)
        values = np.empty(len(texts), np.object_)
        values[:] = texts
        return values.reshape(shape)
    if datatype not in _TYPES:
        raise ValueError(f"no datatype {datatype[:20]!r}")
    kind = np.dtype(_TYPES[datatype])
    if raw is None:
        return np.asarray(typed, kind).reshape(shape)
    return np.frombuffer(raw, kind).reshape(shape)


def pack_input(tensor: InputTensor) -> bytes:
    """The elements of a tensor of any request, checked where they came as JSON.

    Raises InvalidRequest.
    """
    if tensor.raw is not None:
        return bytes(tensor.raw)
    found = list(_flat(tensor.data or (), 0))
    if len(found) != math.prod(tensor.shape):
        raise InvalidRequest(
            f"shape {list(tensor.shape)} needs {math.prod(tensor.shape)} values, "
            f"{len(found)} were sent"
        )
    if tensor.datatype == "BYTES":
        return pack_bytes([one.encode() if isinstance(one, str) else one for one in _texts(found)])
    kind = _TYPES.get(tensor.datatype)
    if kind is None or tensor.datatype == BF16:
        raise InvalidRequest(
            f"JSON has no datatype {tensor.datatype[:20]!r}", hint="Send binary data."
        )
    return _numbers(found, np.dtype(kind), tensor.datatype).tobytes()


def _flat(data: Sequence[Any], depth: int) -> Iterator[Any]:
    if depth > _DEEPEST:
        raise InvalidRequest("data is nested more deeply than any shape")
    for one in data:
        if isinstance(one, list):
            yield from _flat(one, depth + 1)
        else:
            yield one


def _texts(found: list[Any]) -> list[str | bytes]:
    if not all(isinstance(one, str | bytes) for one in found):
        raise InvalidRequest("BYTES data holds texts")
    return found


def _numbers(found: list[Any], kind: np.dtype[Any], datatype: str) -> npt.NDArray[Any]:
    """Raises InvalidRequest for what is not of this kind, or does not fit into it."""
    wanted = {"b": bool, "f": int | float}.get(kind.kind, int)
    fits = all(
        isinstance(one, wanted) and isinstance(one, bool) == (kind.kind == "b") for one in found
    )
    if fits and found and kind.kind in "iu":
        limits = np.iinfo(kind)
        fits = limits.min <= min(found) and max(found) <= limits.max
    if not fits:
        raise InvalidRequest(f"data holds what is no {datatype}")
    with np.errstate(over="ignore"):
        return np.array(found, kind)
